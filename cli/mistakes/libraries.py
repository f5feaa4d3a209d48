"""Errors of the parser, Lightning, torch and the operating system that a setting causes, as sentences with the key."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from algorithms import ConfigError, DataError
from cli.mistakes.check import CommandLine
from cli.strategies import explained

_PACKAGE = re.compile(r"No module named '([\w.]+)'|package `([\w-]+)`|Requirement '([\w.-]+)|requires `([\w-]+)`")
_MAX_TEXT = 300  # characters


class UnusablePath(ConfigError):
    """A path that cannot be read or written."""

    def __init__(self, path: str, reason: str) -> None:
        """Say so; the key that names the path is added where the command line is known."""
        super().__init__(f"{path} cannot be used: {reason}.")
        self.path = path


def raise_first_cause(error: BaseException, line: CommandLine) -> NoReturn:
    """Raise the first error for the user among an error and its causes, else the error itself.

    Args:
        error: what ended the run.
        line: the command line, for keys as they were typed.
    """
    found = first_cause(error)
    if found is None:
        raise error
    if isinstance(found, UnusablePath) and (key := line.key_of_path(found.path)):
        found = ConfigError(f"{key}: {found}")
    raise line.with_full_key(found) from None


def first_cause(error: BaseException) -> ConfigError | DataError | None:
    """Return the first error for the user among an error and its causes, None where there is none."""
    cause: BaseException | None = error
    while cause is not None:
        shown = explained(cause) or _about_a_path(cause) or cause
        if isinstance(shown, ConfigError | DataError):
            return shown
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def setup_errors(line: CommandLine) -> Iterator[None]:
    """While objects are made from a config: errors that a setting causes become errors of one sentence.

    Errors of a user's own class keep their traceback.

    Args:
        line: the command line.

    Raises:
        ConfigError: for wrong values that only instantiation finds, missing packages, and what the trainer refuses.
    """
    try:
        yield
    except Exception as error:
        if found := first_cause(error):
            raise found from None
        # The parser's, when an object could not be made; the cause is in its text.
        if "Parser key" in str(error) and "Given value" in str(error):
            raise ConfigError(line.in_one_line(str(error))) from None
        if isinstance(error, ImportError) and (package := _PACKAGE.search(str(error))):
            name = next(group for group in package.groups() if group)
            raise ConfigError(
                f"a class in the config needs the package {name}, which is not installed: pip install {name}."
            ) from None
        if _is_of_trainer(error):
            raise ConfigError(f"trainer: {_short(str(error))}") from None
        raise


def check_constructors(instantiate: Callable[[], object], *, to_build: Collection[Path]) -> None:
    """Make all objects once before models are built for minutes, so that a wrong setting is told at once.

    Args:
        instantiate: makes them.
        to_build: folders that do not exist yet; nothing to do where there are none.

    Raises:
        ConfigError: as the constructors raise it, unless it is about a folder that is about to be built.
    """
    if not to_build:
        return
    try:
        instantiate()
    except Exception as error:
        found = first_cause(error)
        # Any other error will come again after the build, with its traceback.
        if found is not None and not any(str(folder) in str(found) for folder in to_build):
            raise found from None


def _about_a_path(error: BaseException) -> ConfigError | None:
    reasons = {
        PermissionError: "this user has no permission",
        NotADirectoryError: "a part of the path is a file where a folder is needed",
        FileExistsError: "it is a file where a folder is needed",
    }
    reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), None)
    if reason is None or not isinstance(error, OSError) or error.filename is None:
        return None
    return UnusablePath(str(error.filename), reason)


def _is_of_trainer(error: BaseException) -> bool:
    """Return whether Lightning's trainer refused one of its own settings."""
    frame, files = error.__traceback__, []
    while frame is not None:
        files.append(frame.tb_frame.f_code.co_filename)
        frame = frame.tb_next
    return bool(files) and "/lightning/" in files[-1].replace("\\", "/") and any("/trainer/" in file for file in files)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_TEXT else f"{flat[:_MAX_TEXT]} ..."
