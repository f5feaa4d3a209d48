"""A sweep from the command line: folders, one table, one figure; and again, where it finds that all is done."""

import json
from pathlib import Path

import pytest

from cli.app import main
from cli.build_notice import in_words
from cli.sweep.command import estimate
from tests.cli.run_record.hand_made import written
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

REPLAY = [f"configs/ablations/replay/{name}.yaml" for name in ("no_ssb", "uniform_replay", "dynamic_sampling")]
ACCURACY = "val/greedy_accuracy"


def sweep(policy_folder: Path, overlays: list[str], seeds: list[int], *options: str) -> list[str]:
    shared = [flag for flag in arguments("fit", policy_folder)[2:] if not flag.startswith("--trainer.val_check")]
    return [
        "sweep", "--config=configs/tiny/grpo.yaml", "--overlays", *overlays, "--seeds", *map(str, seeds), *shared,
        "--trainer.max_steps=2", "--trainer.val_check_interval=1", *options,
    ]  # fmt: skip


def status(line: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(line)
    return ended.value.code


def check(root: Path, overlays: list[str], seeds: list[int]) -> Path:
    """Every run has a folder and has finished; one table and one figure compare them."""
    records = {file.parent.name: json.loads(file.read_text()) for file in (root / "tiny").glob("*/run.json")}
    stems = [Path(overlay).stem for overlay in overlays]
    assert len(records) == len(overlays) * len(seeds)
    assert {record["status"] for record in records.values()} == {"finished"}
    for stem in stems:
        found = [record for name, record in records.items() if name.startswith(f"grpo-{stem}-")]
        assert sorted(record["seed"] for record in found) == seeds
        assert all(record["step"] == 2 and ACCURACY in record["metrics"] for record in found)
    (out,) = (root / "tiny" / "sweeps").iterdir()
    assert {path.name for path in out.iterdir()} == {"logs", "table.md", "table.json", "curves.png", "curves.svg"}
    table = json.loads((out / "table.json").read_text())
    assert [row["seeds"] for row in table["rows"]] == [seeds] * len(overlays)
    assert all(row["metrics"][ACCURACY]["mean"]["n"] == len(seeds) for row in table["rows"])
    assert table["baseline"] is not None
    return out


@pytest.mark.long
def test_a_short_sweep_leaves_folders_a_table_and_a_figure_and_is_not_run_twice(
    policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, overlays = policy_folder.parent, REPLAY[:2]
    line = sweep(policy_folder, overlays, [0], "--jobs=2", "--cores=2", "--baseline=no_ssb")
    assert status(line) == 0
    check(root, overlays, [0])
    before = {path: path.stat().st_mtime_ns for path in (root / "tiny").glob("grpo-*/*")}
    assert status(line) == 0
    assert {path: path.stat().st_mtime_ns for path in (root / "tiny").glob("grpo-*/*")} == before
    capsys.readouterr()
    assert status([*line, "--dry_run", "--seeds", "0", "5"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(": finished at step 2") == 2
    assert shown.count(": not started\npython train.py fit --config configs/tiny/grpo.yaml") == 2


@pytest.mark.slow
def test_three_overlays_and_two_seeds_leave_six_folders_one_table_and_one_figure(policy_folder: Path) -> None:
    root = policy_folder.parent
    line = sweep(policy_folder, REPLAY, [0, 1], "--jobs=2", "--cores=2", "--baseline", "uniform_replay")
    assert status([*line, "--dry_run"]) == 0
    assert status([*line, f"--slurm={root}/array.sh"]) == 0
    assert not list((root / "tiny").glob("grpo-*"))
    assert "#SBATCH --array=0-5%2" in (root / "array.sh").read_text()
    assert status(line) == 0
    out = check(root, REPLAY, [0, 1])
    assert "difference to grpo-uniform_replay" in (out / "table.md").read_text()


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_does_not_stop_the_others(
    policy_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Found out when the data are read.
    bad = tmp_path / "bad.yaml"
    bad.write_text("# Lies over: any config\ndata: {init_args: {reading: {max_prompt_tokens: 1}}}\n")
    line = sweep(policy_folder, [str(bad), REPLAY[0]], [0], "--out", str(tmp_path / "out"))
    assert status(line) == 1
    told = capfd.readouterr().err
    assert "bad" in told
    assert "has failed with status 2" in told
    assert "none can be used: 24 too many tokens" in told
    assert len(list((policy_folder.parent / "tiny").glob("*/run.json"))) == 1
    assert (tmp_path / "out" / "table.md").is_file()


def test_the_command_compare_prints_the_table_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        written(tmp_path / f"grpo-s{seed}", seed=seed, metrics={ACCURACY: 0.5 + seed})
    assert status(["compare", str(tmp_path), "--metric", ACCURACY, "--out", str(tmp_path / "out")]) == 0
    assert "| grpo | 0 1 | 1.000 ± 6.353 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "table.json").is_file()
    assert status(["compare", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("seconds", "words"), [(40.4, "40 s"), (89, "89 s"), (100, "2 min"), (3000, "50 min"), (3900, "1 h 05 min")]
)
def test_lengths_of_time_are_told_as_people_do(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_estimate_is_not_led_astray_by_the_run_that_built_the_model() -> None:
    assert estimate([300.0, 60.0, 60.0], left=4, jobs=2) == "about 2 min left"
    assert estimate([60.0], left=1, jobs=2) == "about 60 s left"
    assert estimate([], left=3, jobs=1) == estimate([60.0], left=0, jobs=1) == ""
