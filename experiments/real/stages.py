"""The stages of the real chain for one seed: each starts from the model of an earlier stage, and is measured.

    tower -> words -> align -> answers -+-> grpo, no_ssb (plain GRPO)
                                        +-> reward_model -> pairs -+-> sft
                                                                   +-> mpo

A stage leaves its model in ``runs/real/seed-SEED/STAGE`` and its numbers in ``STAGE.json`` beside it (``running.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

ROOT = Path("runs/real")
QUIET = ("--trainer.enable_progress_bar=false", "--callbacks.progress=null")
GPU_OVERLAY = "configs/hardware/single_gpu.yaml"
_POLICY = "--model.init_args.policy.init_args.path"
_PAIRS = "--data.init_args.pairs.init_args.meta"
_SCORER = "--model.init_args.reward.init_args.parts.preference.reward.init_args.scorer.init_args.path"


@dataclass(frozen=True)
class Stage:
    """One stage: its configs, and its flags for models of earlier stages."""

    configs: Sequence[str]
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Flag -> stage whose folder the flag names; after a slash a file in the folder."""

    writes: str = "export"
    """The callback that writes the folder."""

    measures: Literal["nothing", "items", "all"] = "all"
    """Measurements of the policy that the stage writes: nothing (for example when it writes no policy), only the share
    of named items, or everything."""

    samples: bool = False
    """Whether most of its time goes into sampling, so that another engine makes it faster."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The stages whose folders it reads."""
        return tuple(dict.fromkeys(earlier.split("/")[0] for earlier in self.inputs.values()))


GRPO, MPO = "configs/real/grpo.yaml", "configs/real/mpo.yaml"
_MPO_INPUTS = {_POLICY: "answers", _PAIRS: "pairs/meta.json"}
STAGES: dict[str, Stage] = {
    "tower": Stage(["configs/real/tower.yaml"], measures="nothing"),
    "words": Stage(
        ["configs/real/words.yaml"], {"--model.init_args.policy.init_args.vision_tower": "tower"}, measures="items"
    ),
    "align": Stage(["configs/real/align.yaml"], {_POLICY: "words"}, measures="items"),
    "answers": Stage(["configs/real/answers.yaml"], {_POLICY: "align"}),
    "grpo": Stage([GRPO], {_POLICY: "answers"}, samples=True),
    "no_ssb": Stage([GRPO, "configs/ablations/replay/no_ssb.yaml"], {_POLICY: "answers"}, samples=True),
    "reward_model": Stage(
        ["configs/real/reward_model.yaml"],
        {"--model.init_args.reward_model.init_args.policy.init_args.path": "answers"},
        measures="nothing",
    ),
    "pairs": Stage(
        ["configs/real/pairs.yaml"],
        {_POLICY: "answers", _SCORER: "reward_model"},
        writes="pairs",
        measures="nothing",
        samples=True,
    ),
    "sft": Stage([MPO, "configs/ablations/objective/sft.yaml"], _MPO_INPUTS),
    "mpo": Stage([MPO], _MPO_INPUTS),
}


def hardware() -> list[str]:
    """Return the overlays for this machine."""
    return [GPU_OVERLAY] if torch.cuda.is_available() else []


def arguments(
    name: str, seed: int, folder: Path, flags: Sequence[str] = (), *, overlays: Sequence[str] = ()
) -> list[str]:
    """Return the command line of a stage.

    Args:
        name: key of ``STAGES``.
        seed: seed of everything.
        folder: of the seed; the stage reads and writes below it, and its record lies beside it in ``logs``.
        flags: the last ones.
        overlays: configs laid over those of the stage and of this machine.
    """
    stage = STAGES[name]
    logs = folder.parent / "logs"
    arguments = ["predict" if stage.writes == "pairs" else "fit"]
    arguments += [flag for config in (*stage.configs, *hardware(), *overlays) for flag in ("--config", config)]
    arguments += ["--seed_everything", str(seed), f"--callbacks.{stage.writes}.folder={folder / name}"]
    arguments += [f"{flag}={folder / earlier}" for flag, earlier in stage.inputs.items()]
    if stage.writes == "pairs":
        arguments.append(f"--trainer.default_root_dir={logs / folder.name}")
    else:
        arguments += [
            f"--trainer.logger.init_args.{key}={value}"
            for key, value in {"save_dir": logs, "name": folder.name, "version": name}.items()
        ]
    return [*arguments, *flags]
