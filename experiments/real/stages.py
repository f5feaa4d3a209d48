"""The stages of the real chain for one seed: each trains from what an earlier one wrote, and is measured.

    tower -> words -> align -> answers -+-> grpo, no_ssb (plain GRPO)
                                        +-> reward_model -> pairs -+-> sft
                                                                   +-> mpo

A stage leaves its model in ``runs/real/seed-SEED/STAGE`` and its numbers in ``STAGE.json`` beside it. A stage whose
numbers are there is not run again, so a stopped chain goes on where it was.
"""

import gc
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from cli.app import run
from datamodules.photographs.questions import QUESTION_KINDS, QuestionKind
from experiments.real.measures import MAX_TOKENS, listed, measured
from models import PretrainedPolicy
from storage import whole_file

ROOT = Path("runs/real")
QUIET = ("--trainer.enable_progress_bar=false", "--callbacks.progress=null")
GPU_OVERLAY = "configs/hardware/single_gpu.yaml"
_POLICY = "--model.init_args.policy.init_args.path"
_PAIRS = "--data.init_args.pairs.init_args.meta"
_SCORER = "--model.init_args.reward.init_args.parts.preference.reward.init_args.scorer.init_args.path"


@dataclass(frozen=True)
class Stage:
    """One stage: its configs, and which flags lead to what earlier stages wrote."""

    configs: Sequence[str]
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Flag to the stage whose folder it names; a file in the folder after a slash."""

    writes: str = "export"
    """The callback that writes the folder."""

    measures: Literal["nothing", "items", "all"] = "all"
    """What is measured of the policy that it writes: nothing, as where it writes something else; only how many items it
    names; or everything."""


GRPO, MPO = "configs/real/grpo.yaml", "configs/real/mpo.yaml"
_MPO_INPUTS = {_POLICY: "answers", _PAIRS: "pairs/meta.json"}
STAGES: dict[str, Stage] = {
    "tower": Stage(["configs/real/tower.yaml"], measures="nothing"),
    "words": Stage(
        ["configs/real/words.yaml"], {"--model.init_args.policy.init_args.vision_tower": "tower"}, measures="nothing"
    ),
    "align": Stage(["configs/real/align.yaml"], {_POLICY: "words"}, measures="items"),
    "answers": Stage(["configs/real/answers.yaml"], {_POLICY: "align"}),
    "grpo": Stage([GRPO], {_POLICY: "answers"}),
    "no_ssb": Stage([GRPO, "configs/ablations/replay/no_ssb.yaml"], {_POLICY: "answers"}),
    "reward_model": Stage(
        ["configs/real/reward_model.yaml"],
        {"--model.init_args.reward_model.init_args.policy.init_args.path": "answers"},
        measures="nothing",
    ),
    "pairs": Stage(
        ["configs/real/pairs.yaml"], {_POLICY: "answers", _SCORER: "reward_model"}, writes="pairs", measures="nothing"
    ),
    "sft": Stage([MPO, "configs/ablations/objective/sft.yaml"], _MPO_INPUTS),
    "mpo": Stage([MPO], _MPO_INPUTS),
}


@dataclass(frozen=True)
class Scale:
    """How long each stage runs, and on what it is measured."""

    flags: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Further flags by stage."""

    num_prompts: int = 512
    """Test questions for each measured policy."""

    max_tokens: int = MAX_TOKENS
    """Longest completion that is measured."""

    large_share: float = 0.25
    """Share of test questions about mosaics of 3 x 3; requests to list a picture have a quarter of them always."""

    kinds: Sequence[QuestionKind] = QUESTION_KINDS
    """Kinds of the test questions."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights while they are measured."""

    stages: Sequence[str] = tuple(STAGES)
    """What is run where nothing else is asked for."""


def _steps(number: int, *more: str) -> list[str]:
    # One validation, at the end.
    return [f"--trainer.max_steps={number}", f"--trainer.val_check_interval={number}", *more]


_SHOWN = "--data.init_args.source.init_args.num_train"
_SHOWN_VAL = "--data.init_args.source.init_args.num_val"
_PAIRS_SHOWN = "--data.init_args.pairs.init_args.num_train"
_PAIRS_VAL = "--data.init_args.pairs.init_args.num_val"
_BATCH = "--data.init_args.reading.batch_size"
_PAIR_BATCH = "--data.init_args.pairs_per_batch"
_ROLLOUT = "--data.init_args.prompts_per_rollout"
_SHORT = "--model.init_args.sampling.max_new_tokens=16"
# Of a reward model that has learnt little.
_ANY_MARGIN = "--data.init_args.selection.threshold=0"
# Of so few completions there may be none whose scores differ.
_ANY_KIND = "--data.init_args.selection.kinds=[correctness,format,reward_model,dropout_ntp]"
_NO_VALIDATION = "--trainer.limit_val_batches=0"
_16 = "--trainer.precision=bf16-mixed"
_FROZEN_16 = "--model.init_args.policy.init_args.dtype=bfloat16"
_LARGE = "--data.init_args.source.init_args.large_share"
_PAIRS_LARGE = "--data.init_args.pairs.init_args.large_share"
_WARMUP = "--model.init_args.learning.optimizer.warmup_steps"
_COMPLETION_48 = "--model.init_args.sampling.max_new_tokens=48"
_EASY = "--data.init_args.source.init_args.kinds=[presence,place]"
_SMALL_ROLLOUTS = (f"{_LARGE}=0", _EASY, f"{_ROLLOUT}=8", _COMPLETION_48, _16, _NO_VALIDATION)
_SMALL_PAIRS = (f"{_LARGE}=0", _EASY, f"{_PAIR_BATCH}=8", _COMPLETION_48, _ANY_MARGIN, _16, _NO_VALIDATION)
# Of 64 completions in place of 128: at the config's 4e-5 all samples of a group are alike after five rollouts.
_SLOW = "--model.init_args.learning.optimizer.learning_rate=1e-5"
_GRPO_LAPTOP = _steps(28, f"{_SHOWN}=512", *_SMALL_ROLLOUTS, _SLOW)
_MPO_LAPTOP = _steps(16, f"{_SHOWN}=48", *_SMALL_PAIRS)
SCALES: dict[str, Scale] = {
    # The configs as they are, mosaics of 3 x 3 among them; not run yet.
    "full": Scale(num_prompts=256),
    # Too few steps for the numbers of the page. About 20 minutes on one core, from the seconds by step of "laptop".
    "fast": Scale(
        {
            "tower": _steps(
                1000, f"{_SHOWN}=24576", f"{_BATCH}=32", "--model.init_args.optimizer.warmup_steps=100", _16
            ),
            "words": _steps(150, f"{_SHOWN}=4096", _16),
            "align": _steps(40, f"{_SHOWN}=640", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", f"{_WARMUP}=8", _FROZEN_16, _16),
            "answers": _steps(20, f"{_SHOWN}=320", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", _16),
            "grpo": _steps(12, f"{_SHOWN}=128", *_SMALL_ROLLOUTS, _SLOW),
            "reward_model": _steps(12, f"{_PAIRS_SHOWN}=256", f"{_PAIRS_VAL}=16", f"{_PAIRS_LARGE}=0", _16),
            "pairs": [f"{_SHOWN}=16", f"{_LARGE}=0", _EASY, _COMPLETION_48, _16],
            "mpo": _steps(8, f"{_SHOWN}=16", *_SMALL_PAIRS),
        },
        num_prompts=32,
        large_share=0.0,
        kinds=("presence", "place"),
        dtype="bfloat16",
        stages=("tower", "words", "align", "answers", "grpo", "reward_model", "pairs", "mpo"),
    ),
    # A few steps of every stage, to see that all of them run.
    "smoke": Scale(
        {
            "tower": _steps(2, f"{_SHOWN}=64", f"{_SHOWN_VAL}=32", f"{_BATCH}=32"),
            "words": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "align": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "answers": _steps(2, f"{_SHOWN}=16", f"{_SHOWN_VAL}=4", f"{_BATCH}=4"),
            "grpo": _steps(2, f"{_SHOWN}=16", f"{_ROLLOUT}=2", _SHORT, _NO_VALIDATION),
            "no_ssb": _steps(2, f"{_SHOWN}=16", f"{_ROLLOUT}=2", _SHORT, _NO_VALIDATION),
            "reward_model": _steps(2, f"{_PAIRS_SHOWN}=16", f"{_PAIRS_VAL}=8", f"{_PAIR_BATCH}=4"),
            "pairs": [f"{_SHOWN}=4", _SHORT],
            "sft": _steps(2, f"{_SHOWN}=4", f"{_PAIR_BATCH}=1", _ANY_MARGIN, _ANY_KIND, _NO_VALIDATION),
            "mpo": _steps(2, f"{_SHOWN}=4", f"{_PAIR_BATCH}=1", _ANY_MARGIN, _ANY_KIND, _NO_VALIDATION),
        },
        num_prompts=4,
        max_tokens=16,
    ),
    # One seed in 40 to 50 minutes on one core that multiplies bfloat16. From align on mosaics of 2 x 2 alone,
    # and from GRPO on questions that need no counting.
    "laptop": Scale(
        {
            "tower": _steps(
                2600, f"{_SHOWN}=61440", f"{_BATCH}=32", "--model.init_args.optimizer.warmup_steps=100", _16
            ),
            "words": _steps(300, _16),
            "align": _steps(70, f"{_SHOWN}=1120", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", f"{_WARMUP}=8", _FROZEN_16, _16),
            "answers": _steps(40, f"{_SHOWN}=640", f"{_SHOWN_VAL}=64", f"{_LARGE}=0", _16),
            "grpo": _GRPO_LAPTOP,
            "no_ssb": _GRPO_LAPTOP,
            "reward_model": _steps(24, f"{_PAIRS_SHOWN}=256", f"{_PAIRS_VAL}=64", f"{_PAIRS_LARGE}=0", _16),
            "pairs": [f"{_SHOWN}=48", f"{_LARGE}=0", _EASY, _COMPLETION_48, _16],
            "sft": _MPO_LAPTOP,
            "mpo": _MPO_LAPTOP,
        },
        num_prompts=96,
        large_share=0.0,
        kinds=("presence", "place"),
        dtype="bfloat16",
    ),
    # Minutes on one GPU: larger batches and rollouts, more steps.
    "gpu": Scale(
        {
            "tower": _steps(1280),
            "words": _steps(1000, f"{_SHOWN}=16384"),
            "align": _steps(1280, f"{_SHOWN}=20480", f"{_BATCH}=64"),
            "answers": _steps(120, f"{_SHOWN}=7680", f"{_BATCH}=64"),
            "grpo": _steps(120, f"{_ROLLOUT}=64", _NO_VALIDATION),
            "no_ssb": _steps(120, f"{_ROLLOUT}=64", _NO_VALIDATION),
            "reward_model": _steps(256, f"{_PAIR_BATCH}=32", f"{_PAIRS_SHOWN}=8192"),
            "pairs": [f"{_SHOWN}=1024", f"{_BATCH}=128"],
            "sft": _steps(120, f"{_SHOWN}=1024", f"{_PAIR_BATCH}=32", _NO_VALIDATION),
            "mpo": _steps(120, f"{_SHOWN}=1024", f"{_PAIR_BATCH}=32", _NO_VALIDATION),
        }
    ),
}


def run_stage(
    name: str, seed: int, scale: Scale, *, root: Path = ROOT, flags: Sequence[str] = (), data: str = "runs/data"
) -> dict[str, Any]:
    """Run one stage unless its numbers are there, and return them.

    Args:
        name: key of ``STAGES``.
        seed: of everything.
        scale: its length.
        root: where the folders of all seeds lie.
        flags: further flags, after those of the scale.
        data: where the test pictures are drawn.
    """
    folder = root / f"seed-{seed}"
    numbers = folder / f"{name}.json"
    if numbers.is_file():
        return json.loads(numbers.read_text())
    stage = STAGES[name]
    started = time.perf_counter()
    run(arguments(name, seed, folder, [*scale.flags.get(name, ()), *flags]))
    result: dict[str, Any] = {
        "stage": name, "seed": seed, "device": _device_name(), "flags": list(scale.flags.get(name, ()))
    }  # fmt: skip
    result["seconds"] = round(time.perf_counter() - started, 1)
    # The run's module and optimizer, which nothing refers to any more.
    gc.collect()
    torch.cuda.empty_cache()
    if stage.measures != "nothing":
        result["test"] = {
            "questions": scale.num_prompts, "kinds": list(scale.kinds), "large_share": scale.large_share,
            "max_tokens": scale.max_tokens, "dtype": scale.dtype,
        }  # fmt: skip
        policy = PretrainedPolicy(str(folder / name), dtype=scale.dtype).build().eval()
        policy.to("cuda" if torch.cuda.is_available() else "cpu")
        if stage.measures == "items":
            result["items"] = listed(policy, seed=seed, num_pictures=scale.num_prompts, root=data)
        else:
            result["measures"] = measured(
                policy, seed=seed, num_prompts=scale.num_prompts, max_tokens=scale.max_tokens,
                large_share=scale.large_share, kinds=scale.kinds, root=data,
            )  # fmt: skip
    with whole_file(numbers) as draft:
        draft.write_text(json.dumps(result) + "\n")
    return result


def arguments(name: str, seed: int, folder: Path, flags: Sequence[str]) -> list[str]:
    """Return the command line of a stage; see ``run_stage``."""
    stage = STAGES[name]
    configs = [*stage.configs, *([GPU_OVERLAY] if torch.cuda.is_available() else [])]
    arguments = ["predict" if stage.writes == "pairs" else "fit"]
    arguments += [flag for config in configs for flag in ("--config", config)]
    arguments += ["--seed_everything", str(seed), f"--callbacks.{stage.writes}.folder={folder / name}"]
    arguments += [f"{flag}={folder / earlier}" for flag, earlier in stage.inputs.items()]
    if stage.writes != "pairs":
        arguments += [f"--trainer.logger.init_args.name=real-{seed}", f"--trainer.logger.init_args.version={name}"]
    return [*arguments, *flags]


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
