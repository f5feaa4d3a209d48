"""Refuses words of a command line that are neither a sub-command nor a flag, and config files that do not exist."""

import os
from collections.abc import Sequence
from pathlib import Path

from algorithms import ConfigError
from cli.given.places import PROJECT
from cli.given.settings import Settings
from cli.keys.nearest import did_you_mean, nearest

# Words that users of other trainers type.
_ALSO_CALLED = {"train": "fit", "eval": "validate", "evaluate": "validate", "val": "validate", "generate": "predict"}

# Flags without a value.
_SWITCHES = ("--print_config", "--help")


def check_words(arguments: Sequence[str], subcommands: Sequence[str]) -> None:
    """Refuse a missing or unknown sub-command, and words that belong to no flag.

    Args:
        arguments: the command line.
        subcommands: the known sub-commands.

    Raises:
        ConfigError: names the word that was probably meant.
    """
    if not arguments:
        raise ConfigError(f"no command: one of {', '.join(subcommands)}, as in fit --config configs/tiny/grpo.yaml.")
    if arguments[0] in ("-h", "--help"):
        return
    first = arguments[0]
    if first.startswith("-"):
        raise ConfigError(f"the command comes first, before {first}: one of {', '.join(subcommands)}.")
    if first not in subcommands:
        meant = _ALSO_CALLED.get(first)
        raise ConfigError(
            f"{first} is no command: {f'did you mean {meant}?' if meant else did_you_mean(first, subcommands)}"
        )
    for position, word in enumerate(arguments[1:], start=1):
        # The added "--" is the word after the last one, so that a flag at the end counts as one without a value.
        before, after = arguments[position - 1], [*arguments, "--"][position + 1]
        if word.startswith("--") and "=" not in word and after.startswith("--") and not _is_switch(word):
            if meant := nearest(word, _SWITCHES, least=0.8):
                raise ConfigError(f"{word} is no flag: did you mean {meant}?")
            raise ConfigError(f"{word} has no value: write {word}=VALUE.")
        _check_word(word, takes_value=before.startswith("-") and "=" not in before and position > 1)


def _is_switch(flag: str) -> bool:
    return flag in _SWITCHES or flag.endswith(".help")


def _check_word(word: str, *, takes_value: bool) -> None:
    if word.startswith(("--", "-c=")) or word in ("-c", "-h"):
        name = word.partition("=")[0]
        if name != name.strip() or " " in name:
            raise ConfigError(f"{word!r} has a space in its key: write {name.replace(' ', '')}=VALUE without spaces.")
        return
    if takes_value:
        return
    if word.startswith("-"):
        raise ConfigError(f"{word} begins with one dash: a key has two, as in -{word}.")
    if word.endswith((".yaml", ".yml")):
        raise ConfigError(f"{word} stands alone: a config is given as --config {word}.")
    if "=" in word:
        raise ConfigError(f"{word} has no dashes: a key has two, as in --{word}.")
    raise ConfigError(f"{word} is neither a flag nor the value of one: a flag is --KEY=VALUE.")


def check_config_names(files: Sequence[Settings]) -> None:
    """Refuse config files that do not exist.

    Args:
        files: the config files of the command line.

    Raises:
        ConfigError: names the nearest file of the directory or of the project.
    """
    for file in files:
        if not file.source.strip():
            raise ConfigError("--config has no value: give a file, such as --config configs/tiny/grpo.yaml.")
        # A folder and an unreadable file exist, so they pass. YAML text instead of a path has a brace or several lines.
        is_path = file.is_missing or (file.is_broken and not {"{", "\n"} & set(file.source))
        if is_path and not os.path.lexists(file.source):
            meant = nearest_config(file.source)
            hint = f"did you mean {meant}?" if meant else "configs/README.md says what each one is for."
            raise ConfigError(f"--config {file.source}: there is no such file; {hint}")


def nearest_config(source: str) -> str | None:
    """Return the config that was probably meant, as a user types it; None when no config is like it."""
    beside = Path(source).parent
    here = [str(path) for path in sorted(beside.glob("*.y*ml"))] if beside.is_dir() else []
    ours = [str(path.relative_to(PROJECT)) for path in sorted((PROJECT / "configs").rglob("*.yaml"))]
    paths = list(dict.fromkeys([*here, *ours]))
    if found := nearest(source, paths, least=0.8):
        return found
    by_name = {Path(path).stem: path for path in reversed(paths)}
    name = nearest(Path(source).stem, by_name)
    return by_name[name] if name else None
