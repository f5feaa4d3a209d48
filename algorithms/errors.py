"""The errors a user can cause, so that the command line prints them as one line without a traceback."""


class ConfigError(ValueError):
    """A setting the user must change: names the key as typed, the value, what is allowed, and why."""


class DataError(ValueError):
    """A data set that cannot be used: names the file, what is wrong with it, and how to repair it."""


class PromptError(DataError):
    """One prompt that a model cannot read. A data set leaves the row out and counts the reason."""

    def __init__(self, key: str, reason: str, detail: str) -> None:
        """Name the prompt and what is wrong with it.

        Args:
            key: name of the row in the user's data.
            reason: one of a few fixed phrases, by which rows are counted.
            detail: what was found in this very row.
        """
        super().__init__(f"prompt {key}: {reason}: {detail}")
        self.reason, self.detail = reason, detail


def check_at_least(key: str, value: float | int, least: float | int, why: str = "") -> None:
    """Refuse a number that is too small.

    Args:
        key: the setting as a user types it, such as ``data.micro_batches``.
        value: what was given.
        least: smallest allowed number.
        why: what a smaller number would cause; added to the sentence.

    Raises:
        ConfigError: names the key, the value and the bound.
    """
    # Written so that NaN is refused too.
    if not value >= least:
        raise ConfigError(f"{key} must be at least {least:g}, got {value}{f': {why}' if why else ''}.")
