"""Runs stages of the real chain, each unless its numbers are there, so that a stopped chain goes on where it was.

seed-SEED/STAGE                 the model that the stage wrote
seed-SEED/STAGE.trained.json    seconds and flags of a stage that is trained and not measured yet
seed-SEED/STAGE.json            the same with everything that was measured
language_model.json             what the language model says without a picture before anything is trained
logs/seed-SEED/STAGE            the stage's record for TensorBoard
"""

import gc
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from algorithms import ConfigError, DataError
from cli.app import run
from experiments.real.inputs import LANGUAGE_MODEL
from experiments.real.measures import listed, measured
from experiments.real.scales import Scale
from experiments.real.stages import QUIET, STAGES, arguments
from experiments.real.text_check import text_only_check
from models import Policy, PretrainedPolicy
from models.loading.wheels import model_folder
from storage import whole_file

LANGUAGE_MODEL_NUMBERS = "language_model.json"


@dataclass(frozen=True)
class Chain:
    """What is run for every seed."""

    scale: Scale
    root: Path
    flags: Sequence[str] = ()
    """Further flags of every stage, after those of the scale."""

    engine: str | None = None
    """Overlay of configs/engines/ for the stages that sample; None: the engine of their configs."""

    data: str = "runs/data"
    """Where test pictures are drawn."""

    def numbers(self, name: str, seed: int) -> Path:
        """Return the file with the numbers of a stage."""
        return self.root / f"seed-{seed}" / f"{name}.json"

    def command(self, name: str, seed: int) -> list[str]:
        """Return the command line of a stage."""
        flags = [*self.scale.flags.get(name, ()), *self.flags]
        return arguments(name, seed, self.root / f"seed-{seed}", flags, overlays=self._overlays(name))

    def settings(self, name: str) -> dict[str, Any]:
        """Return what decides about the numbers of a stage, as its file has it."""
        flags = [f"--config={overlay}" for overlay in self._overlays(name)]
        flags += [*self.scale.flags.get(name, ()), *(flag for flag in self.flags if flag not in QUIET)]
        scale = self.scale
        test = {
            "questions": scale.num_prompts, "kinds": list(scale.kinds), "large_share": scale.large_share,
            "max_tokens": scale.max_tokens, "dtype": scale.dtype,
        }  # fmt: skip
        return {"flags": flags} | ({} if STAGES[name].measures == "nothing" else {"test": test})

    def _overlays(self, name: str) -> list[str]:
        return [self.engine] if self.engine and STAGES[name].samples else []


def run_stage(chain: Chain, name: str, seed: int) -> dict[str, Any]:
    """Train and measure one stage, as far as that has not been done, and return its numbers.

    Args:
        chain: what is run.
        name: key of ``STAGES``.
        seed: of everything.
    """
    numbers = chain.numbers(name, seed)
    if numbers.is_file():
        return stored(numbers)
    # Of an earlier start that was stopped while it measured.
    trained = numbers.with_suffix(".trained.json")
    if _is_trained(chain, name, seed):
        result = stored(trained)
    else:
        started = time.perf_counter()
        run(chain.command(name, seed))
        result = {
            "stage": name, "seed": seed, "scale": chain.scale.name, "device": _device_name(),
            "made_from": made_from(chain, name, seed), **chain.settings(name),
            "seconds": round(time.perf_counter() - started, 1),
        }  # fmt: skip
        _write(trained, result)
    if STAGES[name].measures != "nothing":
        started = time.perf_counter()
        result |= _measured(chain, name, seed)
        result["measuring_seconds"] = round(time.perf_counter() - started, 1)
    _write(numbers, result)
    trained.unlink(missing_ok=True)
    return result


def _is_trained(chain: Chain, name: str, seed: int) -> bool:
    """Return whether a stage was trained as this chain would, and only its measures are missing."""
    trained = chain.numbers(name, seed).with_suffix(".trained.json")
    if not trained.is_file() or not chain.numbers(name, seed).with_suffix("").is_dir():
        return False
    wanted = chain.settings(name) | {"made_from": made_from(chain, name, seed)}
    result = stored(trained)
    return all(result.get(key) == value for key, value in wanted.items())


def made_from(chain: Chain, name: str, seed: int) -> dict[str, str]:
    """Return the stages that a stage reads, each with a digest of its numbers; those without numbers are left out."""
    files = {earlier: chain.numbers(earlier, seed) for earlier in STAGES[name].reads}
    # Seconds are among the numbers: a stage that was run again has others.
    return {
        earlier: hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        for earlier, file in files.items() if file.is_file()
    }  # fmt: skip


def run_language_model(chain: Chain) -> dict[str, Any]:
    """Return what the language model of the package says without a picture; measured once for all seeds.

    Raises:
        ConfigError: It is not installed, or the folder written from its package cannot be read.
    """
    numbers = chain.root / LANGUAGE_MODEL_NUMBERS
    if numbers.is_file():
        return stored(numbers)
    folder = model_folder("model.policy.language_model", LANGUAGE_MODEL)
    try:
        policy = _policy(folder, chain.scale)
    except ConfigError as error:
        raise ConfigError(f"{error} Delete {folder}: it is written again from the package.") from error
    with torch.inference_mode():
        result = {"device": _device_name(), "dtype": chain.scale.dtype, "text": text_only_check(policy)}
    _write(numbers, result)
    return result


def stored(numbers: Path) -> dict[str, Any]:
    """Return the numbers in a file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return json.loads(numbers.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{numbers} cannot be read ({error}): delete it, and its stage is run again.") from error


def _measured(chain: Chain, name: str, seed: int) -> dict[str, Any]:
    # The run's module and optimizer, which nothing refers to any more.
    gc.collect()
    torch.cuda.empty_cache()
    stage, scale = STAGES[name], chain.scale
    policy = _policy(str(chain.numbers(name, seed).with_suffix("")), scale)
    if stage.measures == "items":
        return {
            "items": listed(
                policy, seed=seed, num_pictures=scale.num_prompts, max_tokens=scale.max_tokens, root=chain.data
            )
        }
    return {
        "measures": measured(
            policy, seed=seed, num_prompts=scale.num_prompts, max_tokens=scale.max_tokens,
            large_share=scale.large_share, kinds=scale.kinds, root=chain.data,
        )
    }  # fmt: skip


def _policy(folder: str, scale: Scale) -> Policy:
    policy = PretrainedPolicy(folder, dtype=scale.dtype).build().eval()
    policy.to("cuda" if torch.cuda.is_available() else "cpu")
    return policy


def _write(file: Path, result: dict[str, Any]) -> None:
    with whole_file(file) as draft:
        draft.write_text(json.dumps(result) + "\n")


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
