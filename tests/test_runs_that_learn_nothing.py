"""Runs whose rewards fail or tie, or whose numbers are no longer finite: no failure passes for success."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from algorithms import Completion, ConfigError, Prompt
from cli.app import main, run
from rollouts import RolloutPhase
from tests.test_mpo_training import ONLINE
from tests.test_mpo_training import arguments as mpo_arguments
from tests.test_training import (
    RECORDED,
    arguments,
    largest_difference,
    logged_by,
    policy_folder,
    starting_weights,
    weights,
)

__all__ = ["policy_folder"]


class Tied:
    """The same score for all."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [0.0] * len(completions)


class Fragile:
    """A verifier that fails on some completions, always the same ones, each time in another way."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        sums = [int(completion.token_ids.sum()) for completion in completions]
        if any(total % 7 == 0 for total in sums):
            raise RuntimeError("cannot parse this")
        return [float("nan") if total % 7 == 1 else float(total % 2) for total in sums]


class Samples(Callback):
    """Keeps which completions have an unknown reward, and which are learnt from."""

    def __init__(self) -> None:
        self.unknown: set[tuple[int, ...]] = set()
        self.learnt: set[tuple[int, ...]] = set()

    def on_rollout_end(self, trainer: L.Trainer, pl_module: Any, phase: RolloutPhase) -> None:
        for completions, known in zip(phase.completions, phase.is_known.tolist(), strict=True):
            self.unknown |= {tuple(c.token_ids.tolist()) for c, k in zip(completions, known, strict=True) if not k}
        for batch in pl_module.micro_batches:
            rows = zip(batch.completion_ids, batch.lengths.tolist(), strict=True)
            self.learnt |= {tuple(ids[:length].tolist()) for ids, length in rows}


class Spoil(Callback):
    """Puts a number that is not finite into a weight or its gradient; after sampling or before."""

    def __init__(self, place: str) -> None:
        self.place = place

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        weight = next(p for p in pl_module.parameters() if p.requires_grad)
        # Every second batch begins with a rollout.
        if batch_idx == {"weight": 3, "weight before sampling": 4}.get(self.place):
            with torch.no_grad():
                weight.view(-1)[0] = float("nan")
        elif batch_idx == 3 and self.place == "gradient":
            weight.register_hook(lambda gradient: gradient + float("inf"))


TIED = "--model.init_args.reward.parts.even.reward=tests.test_runs_that_learn_nothing.Tied"


@pytest.mark.parametrize("average", ["sequence", "token", "constant"])
def test_steps_in_which_nothing_is_effective_do_not_move_the_weights(policy_folder: Path, average: str) -> None:
    # A random policy is never right, so the rewards of all completions tie.
    decay = "--model.init_args.learning.optimizer.weight_decay=0.1"
    flags = (TIED, decay, f"--model.init_args.grpo.average={average}", *RECORDED)
    cli = run(arguments("fit", policy_folder, *flags))
    assert largest_difference(weights(cli), starting_weights(policy_folder)) == 0.0
    assert cli.trainer.global_step == 4
    assert logged_by(cli)[-1]["train/idle_steps"] == 4.0
    assert logged_by(cli)[-1]["train/changed_fraction"] == 0.0


def test_a_verifier_that_fails_on_some_samples_ends_well_and_teaches_nothing_from_them(policy_folder: Path) -> None:
    here = "tests.test_runs_that_learn_nothing"
    flags = (
        f"--model.init_args.reward.parts.accuracy.reward={here}.Fragile",
        "--model.init_args.reward.parts.even={reward: tests.test_training.EvenIsGood, weight: 0.0}",
        f"--callbacks.samples={here}.Samples", "--callbacks.recorder=tests.test_training.Recorder",
        "--trainer.max_steps=6", "--trainer.val_check_interval=6",
    )  # fmt: skip
    cli = run(arguments("fit", policy_folder, *flags))
    samples = next(c for c in cli.trainer.callbacks if type(c).__name__ == "Samples")
    assert samples.unknown
    assert samples.learnt
    assert not samples.unknown & samples.learnt
    first, last = logged_by(cli)[0], logged_by(cli)[-1]
    assert first["rollout/failed_accuracy"] == first["rollout/failed_scores"] > 0.0
    assert first["rollout/unknown_fraction"] == pytest.approx(first["rollout/failed_accuracy"] / 16)
    assert 0.0 < cli.trainer.callback_metrics["val/unknown_fraction"] < 1.0
    assert last["train/skipped_steps"] == 0.0
    assert largest_difference(weights(cli), starting_weights(policy_folder)) > 0.0
    assert all(tensor.isfinite().all() for tensor in weights(cli).values() if tensor.is_floating_point())


@pytest.mark.parametrize(
    ("place", "step", "found"),
    [("weight", 4, "the loss is not finite"), ("gradient", 4, "the norm of the gradient is"),
     ("weight before sampling", 5, "log-probabilities of sampled tokens are not finite")],
)  # fmt: skip
def test_a_run_that_is_no_longer_finite_ends_with_status_1_one_sentence_and_an_intact_checkpoint(
    policy_folder: Path, place: str, step: int, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, export = policy_folder.parent / "saved", policy_folder.parent / "export"
    flags = (
        f"--callbacks.spoil={{class_path: tests.test_runs_that_learn_nothing.Spoil, init_args: {{place: {place}}}}}",
        "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={folder}", "--callbacks.checkpoint.every_n_train_steps=1",
        f"--callbacks.export={{class_path: callbacks.ExportPolicy, init_args: {{folder: {export}}}}}",
        "--trainer.limit_val_batches=0", "--trainer.max_steps=6",
    )  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(arguments("fit", policy_folder, *flags))
    assert ended.value.code == 1
    (sentence,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert sentence.startswith(f"error: step {step}: {found}")
    assert f"The newest checkpoint, {folder / f'step={step - 1}.ckpt'}, is intact." in sentence
    state = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point())
    assert not export.exists()


@pytest.mark.parametrize("temperature", ["0.0", "1e-30", "-1.0", ".nan", ".inf"])
def test_a_temperature_that_serves_sampling_alone_is_refused_in_training(policy_folder: Path, temperature: str) -> None:
    flag = f"--model.init_args.sampling.temperature={temperature}"
    with pytest.raises(ConfigError, match=r"model\.sampling\.temperature must be"):
        run(arguments("fit", policy_folder, flag))


def test_so_it_is_where_pairs_are_built_from_rollouts_and_not_where_they_are_known(policy_folder: Path) -> None:
    flags = ("--trainer.limit_val_batches=0", "--model.init_args.sampling.temperature=0.0", "--trainer.max_steps=1")
    with pytest.raises(ConfigError, match=r"model\.sampling\.temperature must be at least 0\.01, got 0\.0: the loss"):
        run(mpo_arguments(policy_folder, *flags, data=(*ONLINE,)))
    run(mpo_arguments(policy_folder, *flags))
