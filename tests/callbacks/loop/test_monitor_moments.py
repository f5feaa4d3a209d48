"""When the monitor measures: every n steps, at validation, in trainer.validate; what checkpoints make of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as L
import pytest

from algorithms import ConfigError
from callbacks import HallucinationMonitor
from cli.app import run
from tests.callbacks.loop.test_hallucination_loop import MONITOR, named, scalars
from tests.test_training import arguments, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]

EVERY_TWO_AND_AT_THREE = (*MONITOR, "--trainer.val_check_interval=3", "--trainer.num_sanity_val_steps=1")


def steps(folder: Path, key: str = "hallucination/rate") -> list[int]:
    return [step for step, _ in scalars(folder)[key]]


def test_it_measures_where_lightning_validates_and_never_twice_at_one_step(policy_folder: Path) -> None:
    # Two micro-batches a step, so that every step comes up twice, and validation every six of them.
    accumulating = ("--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=6", "--trainer.max_steps=6")
    cli = run(arguments("fit", policy_folder, *EVERY_TWO_AND_AT_THREE, *accumulating))
    # Every two steps and at validation, which comes at 3 and 6; the sanity check is no validation.
    assert steps(policy_folder.parent) == [0, 2, 3, 4, 6]
    assert cli.model.signals.latest("hallucination/rate").step == 6


@pytest.mark.long
def test_validation_can_be_left_alone(policy_folder: Path) -> None:
    run(arguments("fit", policy_folder, *EVERY_TWO_AND_AT_THREE, "--callbacks.hallucination.at_validation=false"))
    assert steps(policy_folder.parent) == [0, 2, 4]


@pytest.mark.long
def test_a_checkpoint_of_a_step_with_validation_resumes_exactly(policy_folder: Path) -> None:
    # Lightning does not validate again at the step at which a run resumes, so the round must be in the checkpoint.
    straight = run(arguments("fit", policy_folder, *EVERY_TWO_AND_AT_THREE))
    saving = (
        "--trainer.enable_checkpointing=true", "--trainer.max_steps=3",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
        f"--callbacks.checkpoint.dirpath={policy_folder.parent / 'checkpoints'}",
    )  # fmt: skip
    run(arguments("fit", policy_folder, *EVERY_TWO_AND_AT_THREE, *saving))
    checkpoint = policy_folder.parent / "checkpoints" / "step=3.ckpt"
    resumed = run(arguments("fit", policy_folder, *EVERY_TWO_AND_AT_THREE, f"--ckpt_path={checkpoint}"))
    assert largest_difference(weights(straight), weights(resumed)) == 0.0
    assert straight.model.signals.state_dict() == resumed.model.signals.state_dict()
    first, again = (named(cli, "HallucinationMonitor").state_dict() for cli in (straight, resumed))
    assert first == again
    assert first["before"]["probes"][1] > 0


def test_a_validation_run_measures_once(policy_folder: Path) -> None:
    cli = run(arguments("validate", policy_folder, *MONITOR))
    assert len(steps(policy_folder.parent)) == 1
    ((_, rate),) = scalars(policy_folder.parent)["hallucination/rate"]
    assert float(cli.trainer.callback_metrics["hallucination/rate"]) == pytest.approx(rate)


@pytest.mark.long
def test_the_best_checkpoint_is_the_one_with_the_lowest_rate(policy_folder: Path) -> None:
    root = policy_folder.parent
    cli = run(
        arguments(
            "fit", policy_folder, *MONITOR, "--trainer.max_steps=8", "--trainer.limit_val_batches=0",
            "--model.init_args.learning.optimizer.learning_rate=1e-2", "--trainer.enable_checkpointing=true",
            "--callbacks.best=lightning.pytorch.callbacks.ModelCheckpoint",
            "--callbacks.best.monitor=hallucination/rate", "--callbacks.best.mode=min",
            "--callbacks.best.every_n_train_steps=1", "--callbacks.best.filename={step}",
            f"--callbacks.best.dirpath={root / 'best'}",
            "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
            f"--callbacks.checkpoint.dirpath={root / 'newest'}",
        )
    )  # fmt: skip
    rates = dict(scalars(root)["hallucination/rate"])
    assert len(set(rates.values())) > 2
    # Before the first round in training, step 1 is judged by the round at the start.
    judged = {step: rates[step - step % 2] for step in range(1, 9)}
    lowest = min(judged, key=lambda step: (judged[step], step))
    best: Any = named(cli, "ModelCheckpoint")
    assert float(best.best_model_score) == pytest.approx(judged[lowest])
    assert Path(best.best_model_path).name == f"step={lowest}.ckpt"
    # The other one keeps the newest, whatever the rate.
    assert {path.name for path in (root / "newest").iterdir()} == {
        "step=7.ckpt",
        "step=8.ckpt",
        "last.ckpt",
        "run.lock",
    }


def test_rounds_above_the_bound_on_time_are_skipped_counted_and_logged(policy_folder: Path) -> None:
    cli = run(arguments("fit", policy_folder, *MONITOR, "--callbacks.hallucination.max_time_share=1e-6"))
    # The first round always takes place; from then on the share is above so small a bound.
    assert steps(policy_folder.parent) == [0]
    assert scalars(policy_folder.parent)["hallucination/skipped_rounds"] == [(2, 1.0), (4, 2.0)]
    assert named(cli, "HallucinationMonitor").state_dict()["skipped_rounds"] == 2


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_of_time_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ConfigError, match=r"hallucination\.max_time_share must lie between 0 and 1, got"):
        HallucinationMonitor(max_time_share=share)


def test_a_resumed_run_logs_the_last_rate_before_it_measures_again() -> None:
    saved = HallucinationMonitor()
    saved.last_step, saved.values = 25, {"hallucination/rate": 0.25}
    monitor = HallucinationMonitor(at_validation=False)
    monitor.load_state_dict(saved.state_dict())
    logged: list[dict[str, float]] = []
    trainer: Any = SimpleNamespace(global_step=26, global_rank=0, world_size=1)
    module: Any = SimpleNamespace(log_dict=lambda values, **_: logged.append(values))
    monitor.on_train_start(trainer, module)
    for _ in range(2):
        monitor.on_train_batch_end(trainer, module, None, None, 0)
    assert logged == [{"hallucination/rate": 0.25}]


def test_a_model_that_does_not_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.hallucination needs a model that samples.*got LightningModule"):
        HallucinationMonitor().on_fit_start(L.Trainer(logger=False), L.LightningModule())


def test_a_run_without_a_judge_is_refused(policy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.hallucination\.judge must be set, or model\.judge"):
        run(arguments("validate", policy_folder, *MONITOR, "--model.init_args.judge=null"))
