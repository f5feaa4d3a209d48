"""The message when a model is built on first use: its purpose, its duration, its folder."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cli.given.places import PROJECT

# Seconds of the builds behind the configs in configs/tiny, with one thread on a busy machine: ``seconds`` of their
# run.json, after `make quickstart` and `python train.py fit --config configs/tiny/mpo.yaml`.
_SECONDS = {"vision_tower": 15, "language_model": 130, "adapter": 35, "reward_model": 170, "reward_model_biased": 170}


def notice(config: Path, seed: int, folder: Path, *, first: Sequence[str] = ()) -> str:
    """Return the message before a build.

    Args:
        config: the config that is run; its first comment describes the result.
        seed: seed of the build.
        folder: folder of the result.
        first: names of other missing models, which are built before this one.
    """
    others = [path for path in folder.parent.glob(f"{config.stem}-*") if path.is_dir()]
    why = f"none of the {len(others)} there has this seed, config, code and versions of libraries" if others else ""
    lines = [
        f"building {config.stem} (seed {seed}), which this config starts from: {_purpose(config)}",
        f"  takes {_duration(config)}, once; kept in {folder}{f' ({why})' if why else ''}",
    ]
    return "\n".join([*lines, *([f"  first its own parts: {', '.join(first)}"] if first else [])])


def say(text: str) -> None:
    """Write a message to standard error, apart from the result of a command."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def in_words(seconds: float) -> str:
    """Return a length of time, such as ``40 s``, ``12 min`` or ``1 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _purpose(config: Path) -> str:
    """Return the first sentence of the comment at the top of a config; its path where there is none."""
    first = config.read_text(encoding="utf-8").partition("\n")[0]
    text = first.lstrip("# ").split(". ")[0].split(": `python")[0].rstrip(". ")
    return text if first.startswith("#") and text else str(config)


def _duration(config: Path) -> str:
    seconds = _SECONDS.get(config.stem) if PROJECT / "configs/tiny" in config.resolve().parents else None
    return f"about {in_words(seconds)} on one core" if seconds else "as long as its bar says"
