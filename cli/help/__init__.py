"""What ``--help`` prints: one screen that leads on, and one screen for each section of a config."""
