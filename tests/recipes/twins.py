"""A twin of every recipe for real models: the recipe's own file, with other sizes, paths and counts.

A twin runs on the CPU in seconds. It keeps the recipe's precision, types, parts that learn, LoRA, reference, reward,
engine, strategy, objective and learning rate, and all numbers that have no unit of size. ``test_twins.py`` refuses any
other change.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.recipes import small_data, small_models

STEPS = 30
Flags = Mapping[str, object]

# The last part of a key that a twin may change.
SIZES = {"max_rows", "max_new_tokens", "max_prompt_tokens", "max_pair_tokens", "capacity", "batch_size", "rank"}
PATHS = {"path", "meta", "vision_tower", "language_model", "folder", "save_dir", "default_root_dir", "dirpath"}
COUNTS = {
    "max_steps", "accumulate_grad_batches", "val_check_interval", "limit_val_batches", "every_n_train_steps",
    "prompts_per_rollout", "micro_batches", "prompts_per_refresh", "refresh_every", "pairs_per_batch", "held_out",
}  # fmt: skip
# What watches a run, and changes nothing in it.
WATCHES = {"start", "recorder"}

_MODEL, _DATA = "model.init_args", "data.init_args"
_SCORER = f"{_MODEL}.reward.init_args.parts.preference.reward.init_args.scorer.init_args.path"
_SHORT: Flags = {
    "trainer.max_steps": STEPS,
    "trainer.accumulate_grad_batches": 2,
    "trainer.val_check_interval": 2 * STEPS,
}
_SMALL_ROLLOUTS: Flags = {
    f"{_DATA}.prompts_per_rollout": 4,
    f"{_DATA}.micro_batches": 4,
    f"{_DATA}.buffer.capacity": 64,
}


def qwen_grpo(root: Path) -> Flags:
    """Two optimizer steps a rollout, each of two micro-batches, as the recipe has two of sixteen."""
    return {
        **_SHORT,
        f"{_MODEL}.policy.init_args.path": small_models.qwen_vl(root / "policy"),
        f"{_MODEL}.engine.init_args.max_rows": 32,
        f"{_MODEL}.sampling.max_new_tokens": 12,
        f"{_DATA}.source.init_args.path": small_data.geometry3k(root / "geometry3k"),
        **_SMALL_ROLLOUTS,
        f"{_DATA}.reading.batch_size": 4,
    }


def qwen_mpo(root: Path) -> Flags:
    """Pairs of MMPR, two micro-batches a step."""
    return {
        **_SHORT,
        f"{_MODEL}.policy.init_args.path": small_models.qwen_vl(root / "policy"),
        f"{_MODEL}.sampling.max_new_tokens": 12,
        f"{_DATA}.source.init_args.path": small_data.prompts(root / "held_out"),
        f"{_DATA}.pairs.init_args.meta": small_data.mmpr(root / "MMPR"),
        f"{_DATA}.pairs_per_batch": 2,
        f"{_DATA}.held_out": 0.1,
        f"{_DATA}.reading.batch_size": 4,
    }


def r1v2_align(root: Path) -> Flags:
    """One pass over as many demonstrations as there are to be steps."""
    return {
        "trainer.accumulate_grad_batches": 2,
        "trainer.val_check_interval": 2 * STEPS,
        "trainer.limit_val_batches": 2,
        f"{_MODEL}.policy.init_args.vision_tower": small_models.intern_vit_folder(root / "InternViT"),
        f"{_MODEL}.policy.init_args.language_model": small_models.qwq(root / "QwQ"),
        f"{_DATA}.source.init_args.path": small_data.demonstrations(root / "demonstrations", 2 * STEPS),
    }


def r1v2_mpo(root: Path) -> Flags:
    """Two refreshes of the pairs."""
    return {**_scored_rollouts(root), f"{_DATA}.prompts_per_refresh": 8, f"{_DATA}.refresh_every": STEPS}


def r1v2_grpo(root: Path) -> Flags:
    """Two optimizer steps a rollout, as in the recipe."""
    return {**_scored_rollouts(root), **_SMALL_ROLLOUTS}


def _scored_rollouts(root: Path) -> Flags:
    """What the recipes have in common whose rollouts a reward model scores."""
    return {
        **_SHORT,
        f"{_MODEL}.policy.init_args.path": small_models.r1v2_export(root / "policy", root),
        _SCORER: small_models.skywork_reward(root / "scorer"),
        f"{_MODEL}.sampling.max_new_tokens": 12,
        f"{_DATA}.source.init_args.path": small_data.prompts(root / "prompts"),
        f"{_DATA}.reading.batch_size": 4,
    }


TWINS: dict[str, Callable[[Path], Flags]] = {
    "qwen2_5_vl/grpo": qwen_grpo,
    "qwen2_5_vl/mpo": qwen_mpo,
    "r1v2/align": r1v2_align,
    "r1v2/grpo": r1v2_grpo,
    "r1v2/mpo": r1v2_mpo,
}


def arguments(name: str, root: Path, *extra: str) -> list[str]:
    """Return the command line of a twin, whose files are written below ``root``."""
    common: Flags = {
        "trainer.default_root_dir": root,
        "trainer.logger.init_args.save_dir": root / "runs",
        "callbacks.export.init_args.folder": root / "export",
        "callbacks.checkpoint.init_args.dirpath": root / "checkpoints",
        "callbacks.start": "tests.recipes.test_twins.StartWeights",
        "callbacks.recorder": "tests.test_training.Recorder",
    }
    flags = {**common, **TWINS[name](root)}
    return ["fit", f"--config=configs/{name}.yaml", *(f"--{key}={value}" for key, value in flags.items()), *extra]
