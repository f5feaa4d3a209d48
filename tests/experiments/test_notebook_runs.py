"""The runs of the notebooks: kept small, and read like the runs themselves."""

import json
from pathlib import Path

import pytest
from torch.utils.tensorboard.writer import SummaryWriter

from datamodules import ShapesFolder
from experiments import notebook_runs
from experiments.notebook_runs import keep, keep_ten_pairs, main
from run_records import Attempt, RunRecord, compare, read_curves
from tests.cli.run_record.hand_made import written
from tests.test_training import EvenIsGood, arguments, policy_folder

__all__ = ["policy_folder"]


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


@pytest.mark.long
def test_one_command_makes_and_keeps_the_runs_of_the_notebooks_and_no_other_run_of_their_name(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = policy_folder.parent
    # A random policy in place of the built one, and a score in place of a reward model: a twin of seconds.
    given = [
        flag for flag in arguments("fit", policy_folder)[2:] if "max_steps" not in flag and "val_check" not in flag
    ]
    given += ["--model.reward.parts.preference.reward=tests.test_training.EvenIsGood"]
    monkeypatch.setattr(notebook_runs, "SHORT_DATA", root / "kept")
    monkeypatch.setattr(notebook_runs, "keep_ten_pairs", lambda file, *, steps: file.write_text("[]"))
    written(root / "tiny" / "grpo-s9", "grpo", 9)
    main(["--short", *given])
    finished = {path.name for path in (root / "kept" / "finished").iterdir()}
    assert len(finished) == 5
    assert len([name for name in finished if "grpo_biased" in name]) == 2
    assert {path.stem for path in (root / "kept" / "answers").iterdir()} <= finished
    records = {name: json.loads((root / "kept" / "finished" / name / "run.json").read_text()) for name in finished}
    assert {record["step"] for record in records.values()} == {2}
    curves = [read_curves(root / "kept" / "finished" / name, ["val/greedy_accuracy"]) for name in finished]
    assert all(len(curve["val/greedy_accuracy"]) == 1 for curve in curves)
    answers = [path.read_text().splitlines() for path in (root / "kept" / "answers").iterdir()]
    # Of the six test questions that these runs have.
    assert [len(lines) for lines in answers] == [6, 6, 6]


@pytest.mark.long
def test_ten_pairs_are_kept_with_their_log_probabilities_before_and_after_mpo(
    policy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = str(tmp_path / "data")
    monkeypatch.setattr(notebook_runs, "built", lambda config: str(policy_folder))
    monkeypatch.setattr(notebook_runs, "PretrainedRewardModel", lambda path: path)
    monkeypatch.setattr(notebook_runs, "AccuracyReward", EvenIsGood)
    monkeypatch.setattr(notebook_runs, "PreferenceReward", lambda scorer: EvenIsGood())
    monkeypatch.setattr(
        notebook_runs, "ShapesFolder", lambda **sizes: ShapesFolder(num_train=16, num_val=4, num_test=4, root=data)
    )
    # A random policy does not reason.
    monkeypatch.setattr(notebook_runs, "_fits", lambda pair: True)
    keep_ten_pairs(tmp_path / "kept" / "ten_pairs.json", steps=2)
    rows = json.loads((tmp_path / "kept" / "ten_pairs.json").read_text())
    assert rows
    assert all(len(row["logps_before"]) == len(row["logps_after"]) == len(row["num_tokens"]) == 2 for row in rows)
    assert any(row["logps_before"] != row["logps_after"] for row in rows)
