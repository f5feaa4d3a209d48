"""Where the paths of a command line lead, from whichever directory it is run.

A config is looked for in the directory where the user stands, then in the project. All other paths, such as those of
data, models and ``runs/``, belong to the directory where the user stands.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

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


def import_from_here() -> None:
    """Let configs name classes and functions of files in the directory where the user stands, after all others."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
