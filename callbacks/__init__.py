"""What watches and steers a run; each can be swapped, set or switched off by name."""

from callbacks.export import ExportPolicy

__all__ = ["ExportPolicy"]
