"""The errors a user can cause, so that the command line prints them as one line without a traceback."""


class ConfigError(ValueError):
    """A setting the user must change: names the key as typed, the value, what is allowed, and why."""


class DataError(ValueError):
    """A data set that cannot be used: names the file, what is wrong with it, and how to repair it."""
