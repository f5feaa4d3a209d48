"""A run killed with SIGKILL, again and again, ends bit for bit as one that was never stopped."""

import random
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from algorithms import Completion, Prompt
from tests.killed_runs import MOMENTS, run_apart
from tests.test_training import arguments, largest_difference, policy_folder

__all__ = ["policy_folder"]

STEPS = 8  # optimizer steps of two micro-batches each; four micro-batches a rollout


class Noisy(Callback):
    """Draws from all global generators in every batch and writes the numbers into the weights."""

    def on_train_batch_end(self, trainer, pl_module, *args) -> None:
        drawn = random.random() + float(torch.rand(())) + float(np.random.rand())  # noqa: NPY002
        with torch.no_grad():
            next(p for p in pl_module.parameters() if p.requires_grad).add_(1e-6 * drawn)


class Length:
    """Any score without a scale of its own."""

    is_rule = False

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [float(c.token_ids.sum() % 7) for c in completions]


def flags(policy_folder: Path, name: str) -> list[str]:
    """Everything that has state: scheduler, buffer, running statistics, global generators, reference, attempts."""
    return arguments(
        "fit", policy_folder, f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=6",
        "--trainer.accumulate_grad_batches=2", "--data.init_args.micro_batches=4", "--model.init_args.max_attempts=2",
        "--model.init_args.learning.optimizer.cosine=true", "--model.init_args.learning.optimizer.warmup_steps=2",
        "--model.init_args.grpo.engine_ratio_cap=2.0", "--model.init_args.grpo.kl_weight=0.01",
        "--model.init_args.reference=lightning_modules.FrozenCopyReference",
        "--model.init_args.reward.parts.length.reward=tests.test_exact_resume.Length",
        "--model.init_args.reward.parts.length.weight=0.1",
        "--model.init_args.reward.parts.length.scaling=rewards.RunningZScore",
        "--callbacks.noisy=tests.test_exact_resume.Noisy", "--trainer.enable_checkpointing=true",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
        f"--callbacks.checkpoint.dirpath={policy_folder.parent / name}",
        "--ckpt_path=last",
    )  # fmt: skip


def kills(chance: random.Random, number: int) -> list[tuple[int, str]]:
    """Return random batches and moments, in the order in which runs that resume one another come to them."""

    def is_possible(batch: int, moment: str) -> bool:
        # Every fourth batch samples; after every second one a checkpoint is due, and with the third one is removed.
        return {"sampling": batch % 4 == 0, "removing": batch >= 5}.get(moment, True) and (
            moment in MOMENTS[:3] or batch % 2 == 1
        )

    possible = [(b, m) for b in range(2, 2 * STEPS) for m in MOMENTS if is_possible(b, m)]
    drawn = [chance.choice(possible) for _ in range(number)]
    # A run that was killed while it removed goes on after that batch, so it cannot be killed there again.
    unique = [kill for i, kill in enumerate(drawn) if kill[1] != "removing" or kill not in drawn[:i]]
    return sorted(unique, key=lambda kill: (kill[0], MOMENTS.index(kill[1])))


@pytest.mark.parametrize(
    ("seed", "number"), [pytest.param(18, 4, marks=pytest.mark.long), pytest.param(1, 45, marks=pytest.mark.slow)]
)
def test_a_run_killed_at_random_moments_ends_with_the_weights_of_one_never_stopped(
    policy_folder: Path, seed: int, number: int
) -> None:
    root = policy_folder.parent
    straight, resumed = (root / f"{name}.pt" for name in ("straight", "resumed"))
    assert run_apart(flags(policy_folder, "straight"), straight) == 0
    planned = kills(random.Random(seed), number)
    for batch, moment in planned:
        killer = [
            "--callbacks.killer=tests.killed_runs.KilledAt", f"--callbacks.killer.moment={moment}",
            f"--callbacks.killer.batch={batch}", f"--callbacks.killer.starts={root / 'starts'}",
        ]  # fmt: skip
        assert run_apart([*flags(policy_folder, "resumed"), *killer], resumed) == -signal.SIGKILL, (moment, batch)
    assert run_apart(flags(policy_folder, "resumed"), resumed) == 0
    first, second = (torch.load(path, weights_only=True) for path in (straight, resumed))
    assert largest_difference(first, second) == 0.0
    # Each run went on from the newest checkpoint: at most the step that was under way is repeated.
    starts = [int(step) for step in (root / "starts").read_text().split()]
    for start, (batch, _) in zip(starts[1:], planned, strict=False):
        assert start >= batch // 2
    # The strays of all kills are gone.
    names = {path.name for path in (root / "resumed").iterdir()} - {"run.lock"}
    assert names == {"last.ckpt", f"step={STEPS - 1}.ckpt", f"step={STEPS}.ckpt"}
