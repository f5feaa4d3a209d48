"""The runs of the notebooks: kept small, and read like the runs themselves."""

from pathlib import Path

from torch.utils.tensorboard.writer import SummaryWriter

from experiments.notebook_runs import keep
from run_records import Attempt, RunRecord, compare, read_curves


def finished(folder: Path) -> RunRecord:
    """The record of a run of 40 steps with two curves."""
    folder.mkdir()
    attempt = Attempt(started="2026-01-01T00:00:00", arguments=("fit",), status="finished", seconds=3.0)
    record = RunRecord(folder, "fit", "grpo", 0, {}, (attempt,), step=40, metrics={"val/greedy_accuracy": 0.5})
    record.write()
    with SummaryWriter(str(folder)) as writer:
        for step in range(40):
            for name in ("val/greedy_accuracy", "train/loss"):
                writer.add_scalar(name, step / 40, step, walltime=100.0 + step)
    return record


def test_a_kept_run_has_its_record_and_the_named_curves_alone(tmp_path: Path) -> None:
    record, kept = finished(tmp_path / "run"), tmp_path / "kept"
    for _ in range(2):
        # A second time replaces the first.
        keep(record, kept, ["val/greedy_accuracy", "val/not_logged"])
    names = ["val/greedy_accuracy", "train/loss"]
    assert read_curves(kept, names) == {names[0]: read_curves(record.folder, names)[names[0]]}
    assert len(list(kept.glob("events.out.tfevents.*"))) == 1
    assert compare([kept]).values("grpo", "val/greedy_accuracy") == {0: 0.5}
