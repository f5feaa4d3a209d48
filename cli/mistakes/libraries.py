"""Turns errors of the parser, Lightning, torch and the operating system into sentences with the key."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from algorithms import ConfigError, DataError
from cli.given.settings import value_at
from cli.keys.nearest import did_you_mean
from cli.mistakes.check import CommandLine
from cli.strategies import explained

_PACKAGE = re.compile(r"No module named '([\w.]+)'|package `([\w-]+)`|Requirement '([\w.-]+)|requires `([\w-]+)`")
_MAX_TEXT = 300  # characters


class FaultyValue(ConfigError):
    """A value that a library refused; the key that has it is added where the command line is known."""

    def __init__(self, value: str, sentence: str) -> None:
        """Remember the value: a name, or a path, of which the config may have only the beginning."""
        super().__init__(sentence)
        self.value = value


def raise_first_cause(error: BaseException, line: CommandLine) -> NoReturn:
    """Raise the first error for the user among an error and its causes, else the error itself.

    Args:
        error: error that ended the run.
        line: the command line, for keys as they were typed.
    """
    found = first_cause(error)
    if found is None:
        raise error
    if isinstance(found, FaultyValue) and (key := line.key_of_value(found.value)):
        found = ConfigError(f"{key}: {found}")
    raise line.with_full_key(found) from None


def first_cause(error: BaseException) -> ConfigError | DataError | None:
    """Return the first error for the user among an error and its causes; None when there is none."""
    for cause in _chain(error):
        shown = explained(cause) or _about_a_path(cause) or _about_a_monitor(cause) or cause
        if isinstance(shown, ConfigError | DataError):
            return shown
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, each once; an inner error that was raised again can be its own cause."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is each for each in found):
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


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
        # The parser's error when an object could not be created.
        if "Does not validate against" in str(error):
            raise _constructors(error, line) from None
        if isinstance(error, ImportError) and (package := _PACKAGE.search(str(error))):
            name = next(group for group in package.groups() if group)
            raise ConfigError(
                f"a class in the config needs the package {name}, which is not installed: pip install {name}."
            ) from None
        if _is_of_trainer(error):
            raise ConfigError(f"{_trainer_key(str(error), line)}: {_short(str(error))}") from None
        raise


def check_constructors(check: Callable[[], object], *, to_build: Collection[Path]) -> None:
    """Create all objects once before models are built for minutes, so that a wrong setting is reported at once.

    Args:
        check: creates the objects, and may check them.
        to_build: folders that do not exist yet.

    Raises:
        ConfigError: from a constructor, unless it is about a folder that will be built.
    """
    try:
        check()
    except Exception as error:
        found = first_cause(error)
        # Any other error will occur again when the run starts, with its traceback.
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
    return FaultyValue(str(error.filename), f"{error.filename} cannot be used: {reason}.")


def _about_a_monitor(error: BaseException) -> ConfigError | None:
    """Return Lightning's error about a metric that nothing logs in one line; Lightning lists a page of names."""
    text = str(error)
    if "could not find the monitored key" not in text and "conditioned on metric" not in text:
        return None
    monitor, *logged = re.findall(r"[`']([\w/.@-]+)[`']", text.replace("`ModelCheckpoint(", ""))
    names = [name for name in logged if name not in ("EarlyStopping", "None")]
    return FaultyValue(monitor, f"nothing logs {monitor}; {did_you_mean(monitor, names)} (docs/metrics.md has all.)")


def _is_of_trainer(error: BaseException) -> bool:
    """Return whether Lightning's trainer refused one of its own settings."""
    frame, files = error.__traceback__, []
    while frame is not None:
        files.append(frame.tb_frame.f_code.co_filename)
        frame = frame.tb_next
    return bool(files) and "/lightning/" in files[-1].replace("\\", "/") and any("/trainer/" in file for file in files)


def _constructors(error: BaseException, line: CommandLine) -> BaseException:
    """Return the error of a constructor; an error from a library becomes a sentence with the key."""
    path = re.search(r"Given value: Namespace\(class_path='([^']+)'", str(error))
    cause = _chain(error)[-1]
    frame = cause.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    is_users = frame is not None and "site-packages" not in frame.tb_frame.f_code.co_filename
    if is_users and not isinstance(cause, ImportError):
        return cause
    keys = [key for key in line.known if path and value_at(line.config, f"{key}.class_path") in _names(path[1])]
    if isinstance(cause, ImportError) and (package := _PACKAGE.search(str(cause))):
        name = next(group for group in package.groups() if group)
        return ConfigError(f"{keys[0] if keys else 'a class'} needs the package {name}: pip install {name}.")
    return ConfigError(f"{keys[0] if keys else 'the config'}: {_short(str(cause))}")


def _names(path: str) -> tuple[str, str]:
    return path, path.rpartition(".")[2]


def _trainer_key(text: str, line: CommandLine) -> str:
    """Return the trainer setting that an error of Lightning is about, if its words show it."""
    given = line.config.get("trainer", {})
    if text.startswith("`Timer("):
        return "trainer.max_time"  # the setting becomes a callback of this name
    named = [str(name) for name in given if re.search(rf"\b{re.escape(str(name))}\b", text)]
    return f"trainer.{max(named, key=len)}" if named else "trainer"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_TEXT else f"{flat[:_MAX_TEXT]} ..."
