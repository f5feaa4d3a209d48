"""Where the paths of a command line lead, from whichever directory it is run.

A config is looked for in the directory where the user stands, then in the project. All other paths, such as those of
data, models and ``runs/``, belong to the directory where the user stands.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from algorithms import ConfigError

PROJECT = Path(__file__).resolve().parent.parent.parent
"""The folder that holds ``train.py`` and ``configs/``."""


def config_path(source: str) -> str:
    """Return the path of a config: as typed where it is there, else in the project where it is there, else as typed.

    >>> config_path("nowhere.yaml")
    'nowhere.yaml'
    """
    try:
        if Path(source).exists() or not (PROJECT / source).is_file():
            return source
    except (OSError, ValueError):
        # YAML text in place of a path: too long for one, or with a null character.
        return source
    return str(PROJECT / source)


def with_places(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the configs of the project where they lie.

    Args:
        arguments: the command line.
    """
    found: list[str] = []
    for position, argument in enumerate(arguments):
        flag, is_joined, value = argument.partition("=")
        if flag in ("--config", "-c") and is_joined:
            found.append(f"{flag}={config_path(value)}")
        elif position and arguments[position - 1] in ("--config", "-c"):
            found.append(config_path(argument))
        else:
            found.append(argument)
    return found


def program() -> str:
    """Return the command line without its arguments, as the user types it: ``python train.py``, with its folder."""
    typed = sys.argv[0]
    return f"python {shlex.quote(typed) if Path(typed).name == 'train.py' else 'train.py'}"


@contextmanager
def writes_to(key: str, path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a sentence.

    Args:
        key: what names the place on the command line.
        path: the place.

    Raises:
        ConfigError: where nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{key} is {path}, where nothing can be written: {error.strerror or error}.") from error


def import_from_here() -> None:
    """Let configs name classes and functions of files in the directory where the user stands, after all others."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
