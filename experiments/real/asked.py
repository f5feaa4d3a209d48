"""What ``python -m experiments.real`` is asked for, checked before the first stage computes anything."""

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from algorithms import ConfigError, DataError
from cli.app import planned
from experiments.real.running import Chain, made_from, stored
from experiments.real.scales import SCALES
from experiments.real.stages import QUIET, ROOT, STAGES

# Engines that need no place of their own, as a server would.
ENGINES = {"transformers": None, "vllm": "configs/engines/vllm.yaml"}


@dataclass(frozen=True)
class Asked:
    """The stages of several seeds."""

    chain: Chain
    seeds: Sequence[int]
    stages: Sequence[str]
    """In the order in which they can be run."""


class _Parser(argparse.ArgumentParser):
    """A wrong option is an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}.")


class _Once(argparse.Action):
    """An option that is given twice is an error: the first one would be forgotten without a word."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        given = namespace.__dict__.setdefault("given", set())
        if self.dest in given:
            advice = ': name all seeds behind one, or with make as SEED="0 1"' if self.dest == "seeds" else ""
            parser.error(f"{option_string} is given twice{advice}")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def asked(description: str | None, arguments: Sequence[str] | None = None) -> Asked:
    """Return what is asked for.

    Args:
        description: for ``--help``.
        arguments: the command line; None: that of the process.

    Raises:
        ConfigError: An option is wrong or given twice.
    """
    # Shortened options would be taken for those that they begin; they are flags of the stages, and refused there.
    parser = _Parser(description=description, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], action=_Once)
    default = "gpu" if torch.cuda.is_available() else "laptop"
    parser.add_argument(
        "--scale", choices=list(SCALES), default=default, help=f"how long the stages run; {default} here", action=_Once
    )
    parser.add_argument(
        "--stages", nargs="+", choices=list(STAGES), help="default: those of the scale", action=_Once
    )  # fmt: skip
    parser.add_argument(
        "--root", type=Path, default=ROOT, help="where models and numbers are written", action=_Once
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=list(ENGINES), default="transformers", help="that samples in training", action=_Once
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bars, for logs in files")
    options, flags = parser.parse_known_args(arguments)
    twice = sorted({seed for seed in options.seeds if options.seeds.count(seed) > 1})
    if twice or min(options.seeds) < 0:
        raise ConfigError(
            f"--seeds must be different whole numbers from 0 on, got {' '.join(map(str, options.seeds))}."
        )
    scale = SCALES[options.scale]
    wanted = options.stages or scale.stages
    flags += QUIET if options.quiet else ()
    return Asked(
        Chain(scale, options.root, flags, ENGINES[options.engine]),
        options.seeds,
        # However they were named: each reads what earlier ones wrote.
        [name for name in STAGES if name in wanted],
    )


def check_asked(asked: Asked) -> None:
    """Refuse, before the first stage, what would stop a later one or would mix two chains in one folder.

    Raises:
        ConfigError: A stage reads what is not there, a setting is wrong, or numbers are there that other settings made.
        DataError: Numbers that are there cannot be read.
    """
    if asked.chain.engine == ENGINES["vllm"] and importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "--engine is vllm, which is not installed: `make setup-vllm` installs it for the CPU, `pip install -e "
            ".[vllm]` for GPUs."
        )
    for seed in asked.seeds:
        for name in asked.stages:
            _check_inputs(asked, name, seed)
            _check_stored(asked.chain, name, seed)
    missing = [name for name in asked.stages if any(not asked.chain.numbers(name, s).is_file() for s in asked.seeds)]
    for name in missing:
        _check_command(asked, name)


def _check_inputs(asked: Asked, name: str, seed: int) -> None:
    chain = asked.chain
    if chain.numbers(name, seed).is_file():
        return
    for earlier in STAGES[name].reads:
        numbers = chain.numbers(earlier, seed)
        if numbers.is_file() and not numbers.with_suffix("").is_dir():
            raise ConfigError(
                f"stage {name} reads {numbers.with_suffix('')}, which is gone although {numbers} is there: delete that "
                f"file, and {earlier} is run again."
            )
        if not numbers.is_file() and earlier not in asked.stages:
            raise ConfigError(
                f"stage {name} reads what {earlier} writes, and there is no {numbers}: add {earlier} to --stages."
            )


def _check_stored(chain: Chain, name: str, seed: int) -> None:
    numbers = chain.numbers(name, seed)
    if not numbers.is_file():
        return
    result = stored(numbers)
    for key, wanted in chain.settings(name).items():
        there = result.get(key)
        if there is not None and there != wanted:
            raise ConfigError(
                f"{numbers} was made with {_told(there, wanted)}, and {_told(wanted, there)} is asked for: choose "
                f"another folder with --root, or delete {numbers.parent} to begin again."
            )
    digests = made_from(chain, name, seed)
    for earlier, digest in result.get("made_from", {}).items():
        if digests.get(earlier, digest) != digest:
            raise ConfigError(
                f"{numbers} was made from a {earlier} that has been run again since: delete {numbers}, and {name} is "
                "run again too."
            )


def _told(settings: Any, other: Any) -> str:
    """Return what one has and the other has not."""
    if isinstance(settings, dict):
        return ", ".join(f"{key} = {value}" for key, value in settings.items() if other.get(key) != value)
    return " ".join(flag for flag in settings if flag not in other) or "no further flag"


def _check_command(asked: Asked, name: str) -> None:
    """Parse the command line of a stage; nothing is loaded."""
    command = asked.chain.command(name, asked.seeds[0])
    # Files that an earlier stage is going to write cannot be looked for yet.
    later = [f"{flag}=" for flag, earlier in STAGES[name].inputs.items() if "/" in earlier]
    try:
        planned([word for word in command if not word.startswith(tuple(later))])
    except (ConfigError, DataError) as error:
        raise type(error)(f"stage {name}: {error}") from error
