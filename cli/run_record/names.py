"""Names a run after config, overlays, flags that matter, and seed.

    --config configs/tiny/grpo.yaml --config configs/ablations/replay/no_ssb.yaml       grpo-no_ssb-s0
    --config configs/tiny/grpo.yaml --model.sampling.group_size=16 --seed_everything 3  grpo-sampling.group_size=16-s3

Flags do not matter when they change only where a run writes, what it shows, how often it saves, or how long it is: a
run that is resumed with more steps keeps its name.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.given.settings import Settings
from run_records import FILE_NAME, read_record

# Beginnings of keys, without init_args. Keys for where a run writes, what it shows, how often it saves:
SILENT = (
    "ckpt_path", "config", "print_config", "return_predictions", "seed_everything", "verbose", "weights_only",
    "trainer.default_root_dir", "trainer.enable_", "trainer.log_every_n_steps", "trainer.logger", "trainer.profiler",
    "data.reading.report_folder",
    *(f"callbacks.{name}" for name in (
        "checkpoint", "completions", "export", "layout", "pairs", "pool", "predictions", "progress", "random_state",
    )),
)  # fmt: skip
# Keys for the length of a run and the interval of validation.
LENGTH = (
    "trainer.max_", "trainer.limit_", "trainer.num_sanity_val_steps",
    "trainer.val_check_interval", "trainer.check_val_every_n_epoch",
)  # fmt: skip
_SECTIONS = ("model", "data", "trainer", "callbacks")
_LONGEST = 60  # characters of all flags together; a path may have 255 in all


@dataclass(frozen=True)
class RunName:
    """The name of a run, and the flags that the name contains."""

    title: str
    """The name without the seed, which runs with several seeds share."""

    seed: int | None
    flags: Mapping[str, str]
    """Flags that matter: key without ``init_args`` -> value. A long name holds a digest of them."""

    given: str | None = None
    """A name that the user has set; it replaces the derived name."""

    def __str__(self) -> str:
        """Return the name of the folder, before a number is added to it."""
        return self.given or (self.title if self.seed is None else f"{self.title}-s{self.seed}")


def run_name(files: Sequence[Settings], flags: Sequence[Settings], *, seed: int | None, given: str | None) -> RunName:
    """Return the name of the run that a command line starts.

    Args:
        files: config files of the command line.
        flags: other flags of the command line.
        seed: seed in the parsed config.
        given: name that the user has set as ``trainer.logger.version``; it is used unchanged.
    """
    matter = flags_that_matter(flags)
    if given is not None:
        return RunName(given.removesuffix(f"-s{seed}"), seed, matter, given)
    parts = [_stem(file.source) for file in files] or ["run"]
    shown = [f"{_short_key(key)}={_short_value(json.loads(value))}" for key, value in matter.items()]
    if sum(map(len, shown)) > _LONGEST:
        digest = hashlib.sha256(json.dumps(matter, sort_keys=True).encode()).hexdigest()
        shown = [f"{len(shown)}flags-{digest[:6]}"]
    return RunName("-".join(map(_slug, [*parts, *shown])), seed, matter)


def flags_that_matter(flags: Sequence[Settings], *, neutral: tuple[str, ...] = SILENT + LENGTH) -> dict[str, str]:
    """Return the flags that matter: key without ``init_args`` -> value as JSON; the last flag of a key counts.

    Args:
        flags: all flags of a command line.
        neutral: beginnings of keys that do not matter.
    """
    found: dict[str, str] = {}
    for flag in flags:
        keys, value = _leaf(flag.content)
        key = ".".join(keys)
        if not key.startswith(neutral):
            # A key that is set again moves to the end: flags are ordered by their last occurrence.
            found.pop(key, None)
            found[key] = json.dumps(value, default=str)
    return found


def _leaf(content: Any) -> tuple[list[str], Any]:
    """Return the parts of a flag's key, and its value."""
    keys: list[str] = []
    while isinstance(content, dict) and len(content) == 1:
        ((key, content),) = content.items()
        keys += [] if key == "init_args" else [str(key)]
    # --model=X is read as --model.class_path=X.
    return (keys[:-1] if keys[-1:] == ["class_path"] else keys), content


def _stem(source: str) -> str:
    """Return the part of a name that a config file adds."""
    if any(mark in source for mark in ("\n", "{", ": ")):
        # YAML text instead of a file.
        return "config"
    path = Path(source)
    # The saved config of an earlier run adds the name of that run.
    if path.name.startswith("config") and (path.parent / FILE_NAME).is_file() and (record := read_record(path.parent)):
        return record.title
    return path.stem


def _short_key(key: str) -> str:
    names = key.split(".")
    return ".".join((names[1:] if names[0] in _SECTIONS and len(names) > 1 else names)[-2:])


def _short_value(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(_short_value, value))
    if isinstance(value, dict):
        return "+".join(f"{key}={_short_value(each)}" for key, each in value.items())
    if isinstance(value, str) and "/" in value:
        return Path(value).name
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        return value.rpartition(".")[2]
    return json.dumps(value).strip('"')


def _slug(text: str) -> str:
    """Return a text as a part of a file name, without spaces and signs that a shell or TensorBoard would interpret."""
    return re.sub(r"[^\w.+=-]+", "_", text).strip("_.-") or "run"
