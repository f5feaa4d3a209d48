"""What is kept of a run: small, and as it was logged."""

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from experiments.claims import Arm, Measure
from experiments.reproduce.stored import read, store, stored_runs
from run_records import RunRecord
from run_records.record import FINISHED, Attempt

ARM = Arm("arm", "configs/tiny/grpo.yaml", ("overlay.yaml",), ("--flag=1",), completions_before=1000)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run of 40 rollouts with a validation after each ten."""
    folder = tmp_path_factory.mktemp("run")
    with SummaryWriter(str(folder)) as writer:
        for rollout in range(40):
            writer.add_scalar("rollout/effective_fraction", rollout / 40, rollout)
            writer.add_scalar("rollout/completions_so_far", 8 * (rollout + 1), rollout)
            writer.add_scalar("train/loss", 1.0, rollout)
            if rollout % 10 == 9:
                writer.add_scalar("val/sampled_accuracy", rollout / 100, rollout)
    attempt = Attempt("2026-11-26T10:00:00+00:00", ("fit", "--config", "a b.yaml"), seconds=12.34, status=FINISHED)
    versions = {"torch": "2", "x": "1"}
    metrics = {"val/sampled_accuracy": 0.39, "val/coverage": None, "train/loss": 1.0}
    start = {"path": "runs/built/mpo-1", "weights": "bb", "first_weights": "aa"}
    git = {"commit": "0123", "is_dirty": True}
    return RunRecord(
        folder,
        "fit",
        "title",
        3,
        {},
        (attempt,),
        step=40,
        metrics=metrics,
        versions=versions,
        starts_from=start,
        git=git,
    )


def test_a_stored_run_is_read_back_as_it_was_written(record: RunRecord, tmp_path: Path) -> None:
    run = read(store(record, ARM, tmp_path))
    assert (run.name, run.arm, run.seed, run.steps, run.seconds) == ("arm-s3", ARM, 3, 40, 12.3)
    assert run.command == "python train.py fit --config 'a b.yaml'"
    assert run.completions == 320
    assert dict(run.metrics) == {"val/sampled_accuracy": 0.39, "val/coverage": None}
    assert (dict(run.versions), run.commit, run.is_dirty) == ({"torch": "2", "x": "1"}, "0123", True)
    assert (run.start, run.starts_from) == ("aa", record.starts_from)
    assert stored_runs(tmp_path, [ARM]) == {"arm": {3: run}}


def test_validations_are_kept_and_what_every_rollout_logs_is_averaged(record: RunRecord, tmp_path: Path) -> None:
    curves = read(store(record, ARM, tmp_path)).curves
    # [step, value, completions with those before the run]
    assert curves["val/sampled_accuracy"] == [[9, 0.09, 1080], [19, 0.19, 1160], [29, 0.29, 1240], [39, 0.39, 1320]]
    effective = curves["rollout/effective_fraction"]
    assert len(effective) == 10
    assert effective[0] == [3, 0.0375, 1032]  # the mean of 0, 1, 2 and 3 fortieths
    assert "train/loss" not in curves


def test_a_measure_is_the_start_the_end_or_the_mean_of_a_curve(record: RunRecord, tmp_path: Path) -> None:
    run = read(store(record, ARM, tmp_path))
    values = {at: run.value(Measure("val/sampled_accuracy", "", at=at)) for at in ("start", "end", "mean")}
    assert values == {"start": 0.09, "end": 0.39, "mean": pytest.approx(0.24)}
    assert run.value(Measure("rollout/preference", "")) is None
