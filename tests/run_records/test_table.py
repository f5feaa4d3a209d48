"""Runs in a table: nothing counts twice, and nothing is left out in silence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from algorithms import ConfigError, DataError
from run_records import compare, read_record, write_report
from tests.cli.run_record.hand_made import written

ACCURACY, CLAIMS = "val/greedy_accuracy", "val/hallucination_rate"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A config and an overlay with three seeds each."""
    for seed, (plain, overlay) in enumerate([(0.5, 0.4), (0.6, 0.52), (0.7, 0.58)]):
        written(tmp_path / f"grpo-s{seed}", seed=seed, metrics={ACCURACY: plain, "x/y": 1.0})
        written(tmp_path / f"grpo-no_ssb-s{seed}", "grpo-no_ssb", seed, metrics={ACCURACY: overlay, "x/y": 2.0})
    return tmp_path


def test_the_table_has_means_intervals_and_differences_to_the_baseline(root: Path) -> None:
    found = compare([root], baseline="grpo")
    assert list(found.runs) == ["grpo", "grpo-no_ssb"]
    assert found.metrics == [ACCURACY]
    mean, change = found.mean("grpo-no_ssb", ACCURACY), found.difference("grpo-no_ssb", ACCURACY)
    assert mean is not None
    assert change is not None
    assert mean.mean == pytest.approx(0.5)
    # Differences -0.1, -0.08, -0.12: mean -0.1, deviation 0.02, t(0.975, 2) / sqrt(3) = 2.4841.
    assert (change.mean, change.low, change.high) == pytest.approx((-0.1, -0.1 - 0.049683, -0.1 + 0.049683), abs=1e-5)
    assert found.difference("grpo", ACCURACY) is None
    text = found.markdown()
    assert "| grpo | 0 1 2 | 0.600 ± 0.248 |" in text
    assert "| grpo-no_ssb | -0.100 [-0.150, -0.050] |" in text


def test_a_baseline_may_be_named_by_its_end_or_its_overlay(root: Path) -> None:
    for name in ("no_ssb", "configs/ablations/replay/no_ssb.yaml", "grpo-no_ssb", str(root / "grpo-no_ssb")):
        assert compare([root], baseline=name).baseline == "grpo-no_ssb"


def test_metrics_are_chosen_by_name(root: Path) -> None:
    assert compare([root], metrics=["x/y", ACCURACY]).metrics == ["x/y", ACCURACY]


def test_a_wrong_name_is_answered_with_the_right_ones(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"--baseline is nossb, and no run has this name: .* grpo, grpo-no_ssb"):
        compare([root], baseline="nossb")
    with pytest.raises(ConfigError, match=r"--metric val/gredy_accuracy .*val/greedy_accuracy"):
        compare([root], metrics=["val/gredy_accuracy"])
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty is not the folder of a run and holds none"):
        compare([root / "empty"])


def test_runs_that_have_not_finished_are_left_out_and_named(root: Path) -> None:
    written(root / "grpo-s3", seed=3, status="stopped", reason="SIGTERM", metrics={ACCURACY: 0.0})
    written(root / "grpo-s4", seed=4, status="running", metrics={ACCURACY: 0.0})
    found = compare([root], baseline="grpo")
    assert list(found.runs["grpo"]) == [0, 1, 2]
    assert found.left_out == {
        str(root / "grpo-s3"): "stopped by SIGTERM at step 10",
        str(root / "grpo-s4"): "killed at step 10",
    }
    assert f"{root}/grpo-s3 is left out: stopped by SIGTERM at step 10." in found.markdown()


def test_of_two_runs_with_one_name_and_seed_the_later_one_counts_and_the_other_is_named(root: Path) -> None:
    late = {"started": "2026-01-02T00:00:00+00:00"}
    written(root / "grpo-s0-2", metrics={ACCURACY: 0.9}, **late)
    found = compare([root])
    assert found.values("grpo", ACCURACY) == {0: 0.9, 1: 0.6, 2: 0.7}
    assert list(found.left_out) == [str(root / "grpo-s0")]


def test_a_run_and_the_test_of_its_checkpoint_are_one_row(root: Path) -> None:
    for seed in range(3):
        written(root / f"grpo-s{seed}-test", seed=seed, command="test", metrics={"test/greedy_accuracy": 0.1 * seed})
    found = compare([root])
    assert found.metrics == [ACCURACY, "test/greedy_accuracy"]
    assert found.values("grpo", "test/greedy_accuracy") == pytest.approx({0: 0.0, 1: 0.1, 2: 0.2})
    assert found.mean("grpo-no_ssb", "test/greedy_accuracy") is None


def test_values_that_are_missing_and_lengths_that_differ_are_told(root: Path) -> None:
    written(root / "grpo-s3", seed=3, metrics={ACCURACY: None}, step=300)
    notes = compare([root]).notes()
    assert f"grpo: {ACCURACY} is known of 3 of 4 seeds." in notes
    assert "grpo: its runs ended at different steps (10, 300)." in notes


def test_a_folder_named_twice_counts_once(root: Path) -> None:
    assert compare([root, root / "grpo-s0"]).values("grpo", ACCURACY) == {0: 0.5, 1: 0.6, 2: 0.7}


def test_nothing_to_compare_says_why(tmp_path: Path) -> None:
    written(tmp_path / "grpo-s0", status="failed", reason="OSError: full")
    with pytest.raises(DataError, match=r"no run has finished.*failed with OSError: full"):
        compare([tmp_path])


def test_the_report_is_the_same_in_markdown_and_json(root: Path, tmp_path: Path) -> None:
    found = compare([root], baseline="grpo")
    files = write_report(found, tmp_path / "out")
    assert [file.name for file in files] == ["table.md", "table.json"]
    content = json.loads(files[1].read_text())
    assert content["baseline"] == "grpo"
    (row,) = (row for row in content["rows"] if row["title"] == "grpo-no_ssb")
    assert row["seeds"] == [0, 1, 2]
    assert row["metrics"][ACCURACY]["values"] == {"0": 0.4, "1": 0.52, "2": 0.58}
    assert row["metrics"][ACCURACY]["difference"]["n"] == 3


def test_a_difference_between_runs_that_started_from_different_policies_is_pointed_out(root: Path) -> None:
    starts = {"grpo-s0": "aa", "grpo-s1": "aa", "grpo-no_ssb-s0": "bb", "grpo-no_ssb-s1": "aa", "grpo-no_ssb-s2": "bb"}
    for name, start in starts.items():
        record = read_record(root / name)
        assert record is not None
        replace(record, starts_from={"path": "base", "weights": start, "first_weights": start}).write()
    # Of seed 2 the baseline does not say: unknown is not wrong.
    (note,) = compare([root], baseline="grpo").notes()
    assert note.startswith("grpo-no_ssb: started from another policy than grpo with seed 0, so")
    assert compare([root]).notes() == []
