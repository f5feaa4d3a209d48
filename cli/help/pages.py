"""The pages of ``--help``.

train.py --help                          the commands
train.py fit --help                      what a command takes, and how to see the keys
train.py fit --config FILE --help model  the keys below ``model``, for the classes that the config chooses
"""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from algorithms import ConfigError
from cli.given.places import program
from cli.given.settings import is_set, value_at
from cli.help.table import table
from cli.keys.chosen import CALLBACK, known_keys
from cli.keys.nearest import did_you_mean
from cli.keys.settings import REQUIRED, Setting, classes_in, shortest_path, subclasses

COMMANDS = {
    "new": "write a small config for your own data and model",
    "fit": "train",
    "validate": "measure on the validation split",
    "test": "measure on the test split",
    "predict": "write completions, pairs or pass rates",
    "inspect": "write one page of what would be asked; nothing is trained",
    "sweep": "run a config with several overlays and seeds",
    "compare": "set runs side by side",
}
_SECTIONS = {
    "trainer": "steps, devices, precision, logger",
    "model": "what is trained, and how",
    "data": "what it is trained on",
    "callbacks": "what watches and steers, by name",
}


def asked_for(arguments: Sequence[str]) -> str | None:
    """Return the key whose help page a command line asks for; empty for the first page, None without ``--help``.

    >>> asked_for(["fit", "--config=x.yaml", "--help", "model"])
    'model'
    """
    for position, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name in ("--help", "-h"):
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            return value or ("" if following.startswith("-") else following)
    return None


def first_page(command: str | None) -> str:
    """Return the page of a command; for None the page that lists all commands."""
    if command is None:
        listed = [f"  {name:<10} {meaning}" for name, meaning in COMMANDS.items()]
        return "\n".join(
            [f"{program()} COMMAND --config FILE [--config OVERLAY ...] [--KEY=VALUE ...]", "", *listed, "",
             f"{program()} fit --help   says what a command takes"]
        )  # fmt: skip
    run = f"{program()} {command}"
    sections = [f"  {run} --config FILE --help {name:<10} {what}" for name, what in _SECTIONS.items()]
    return "\n".join(
        [
            f"{run} --config FILE [--config OVERLAY ...] [--KEY=VALUE ...]      {COMMANDS.get(command, '')}",
            "",
            "A config is a whole run, an overlay changes some of its keys, a flag changes one; later ones win.",
            "configs/README.md says which there are. A config is looked for here, then in the project.",
            "",
            f"  {run} --config configs/tiny/grpo.yaml",
            f"  {run} --config configs/tiny/grpo.yaml --config configs/ablations/replay/no_ssb.yaml",
            f"  {run} --config configs/tiny/grpo.yaml --model.sampling.group_size=16 --callbacks.completions=null",
            "",
            "What there is to set, one screen each, for the classes that FILE chooses:",
            *sections,
            f"  {run} --config FILE --help model.grpo  the keys below any key",
            "",
            "The config as it would run, with every default:",
            f"  {run} --config FILE --print_config",
            "",
            "Of the command itself: --ckpt_path=PATH|last, --seed_everything=N, --config FILE (-c), --help (-h).",
        ]
    )


def page_of(topic: str, command: str, config: Mapping[str, Any]) -> str:
    """Return the keys below a key, one line each, on one screen.

    Args:
        topic: a dotted key.
        command: the subcommand.
        config: the whole config, without levels named ``init_args``.

    Raises:
        ConfigError: for a key that does not exist, or whose keys depend on a config that was not given.
    """
    if topic == "callbacks":
        return _callbacks(config, command)
    known = dict(known_keys(command, config))
    if topic not in known:
        raise ConfigError(f"--help {topic}: there is no such key; {did_you_mean(topic, [*known, 'callbacks'])}")
    inside = {key: setting for key, setting in known.items() if key.startswith(f"{topic}.")}
    if not inside and topic in ("model", "data"):
        raise ConfigError(f"--help {topic}: its keys depend on its class; give --config FILE before --help.")
    rows = [_row(key, setting, config) for key, setting in (inside or {topic: known[topic]}).items()]
    columns, lines = shutil.get_terminal_size((120, 50))
    head = f"{topic}: {_shown(value_at(config, topic)) or topic}"
    return f"{head}\n\n{table(rows, columns=max(columns, 100), lines=max(lines, 40) - 4)}"


def _callbacks(config: Mapping[str, Any], command: str) -> str:
    chosen = config.get("callbacks")
    chosen = chosen if isinstance(chosen, dict) else {}
    on = [f"  callbacks.{name:<16} {_shown(value)}" for name, value in chosen.items() if value is not None]
    ours = sorted(
        shortest_path(each) for base in classes_in(CALLBACK.annotation) for each in subclasses(base)
        if each.__module__.startswith("callbacks.") and not each.__name__.startswith("_")
    )  # fmt: skip
    return "\n".join(
        ["callbacks that this config has:", *(on or ["  none"]), "",
         "Off: --callbacks.NAME=null. One setting: --callbacks.NAME.KEY=VALUE. A new one: --callbacks.NAME=CLASS.",
         f"Keys of one: {program()} {command} --config FILE --help callbacks.NAME", "",
         "Classes: " + ", ".join(ours) + "; Lightning's (lightning.pytorch.callbacks) and your own, by import path."]
    )  # fmt: skip


def _row(key: str, setting: Setting, config: Mapping[str, Any]) -> tuple[str, str, str]:
    if is_set(config, key):
        value = value_at(config, key)
        # Settings of a section without a class of its own are listed directly.
        return key, _shown(value) if isinstance(value, dict) else _shown(value) or "null", setting.meaning
    if setting.default is REQUIRED:
        return key, "(must be set)", setting.meaning
    # The keys of a dataclass that no file changes are listed with their defaults.
    shown = "" if classes_in(setting.annotation) and setting.default is not None else _shown(setting.default) or "null"
    return key, shown, setting.meaning


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return str(value.get("class_path", "")).rpartition(".")[2]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
