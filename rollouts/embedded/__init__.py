"""The embedded engine: sampling from the learner's own module."""
