"""A setting that is wrong for all runs of a sweep costs one run, and one that is wrong for some costs no other."""

from pathlib import Path

import pytest

from algorithms import ConfigError, DataError
from cli.run_record.kept_run import Place
from cli.run_record.names import RunName
from cli.sweep import side_by_side
from cli.sweep.command import main, run_planned
from cli.sweep.options import SweepOptions
from cli.sweep.plan import PLAIN, PlannedRun
from tests.conftest import long

# Ends as it is told; each start leaves a line.
_STAND_IN = """
import sys
from pathlib import Path
name, status, text = sys.argv[1:4]
with Path(__file__).with_name("started").open("a") as file:
    file.write(name + "\\n")
print(text)
sys.exit(int(status))
"""
FINE = (0, "done")
REFUSED = (2, "error: data.source.path must be an existing folder, got 'dta': it is not there.")
BROKEN = (1, "ModuleNotFoundError: No module named 'mine'")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(_STAND_IN)
    monkeypatch.setattr(side_by_side, "TRAIN", tmp_path / "train.py")
    monkeypatch.setattr(side_by_side, "_PAUSE", 0.01)
    return tmp_path


def started(root: Path, variants: dict[str, tuple[int, str]], *, seeds: int = 2) -> tuple[list[str], int]:
    """Return the runs that were started, in their order, and how many have not finished."""
    runs = [
        PlannedRun(
            (f"{variant or 'plain'}-{seed}", str(status), text),
            Place(root / "runs", RunName(variant or "plain", seed, {})),
            variant,
        )
        for seed in range(seeds)
        for variant, (status, text) in variants.items()
    ]
    options = SweepOptions(["c.yaml"], list(variants), None, list(range(seeds)), jobs=1, threads=1, shared=[])
    failed = run_planned(runs, options, root / "out")
    return (root / "started").read_text().split(), failed


def test_what_the_config_itself_is_refused_for_is_told_once_and_no_other_run_starts(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(root, {PLAIN: REFUSED, "a": REFUSED, "b": REFUSED}) == (["plain-0"], 6)
    told = capsys.readouterr().err
    assert told.count(REFUSED[1]) == 1
    assert "not started, since they share what plain-s0 has failed for: a-s0, b-s0, plain-s1, a-s1, b-s1" in told


def test_an_overlay_that_is_refused_stops_its_own_seeds_and_no_other_run(root: Path) -> None:
    assert started(root, {PLAIN: FINE, "a": REFUSED, "b": FINE}) == (["plain-0", "a-0", "b-0", "plain-1", "b-1"], 2)


@pytest.mark.parametrize("ending", [REFUSED, BROKEN])
def test_two_overlays_that_fail_for_one_reason_speak_for_all(root: Path, ending: tuple[int, str]) -> None:
    assert started(root, {"a": ending, "b": ending, "c": ending}) == (["a-0", "b-0"], 6)


@pytest.mark.parametrize("other", [(1, "KeyError: 'b'"), (2, "error: another reason"), FINE])
def test_overlays_that_fail_for_reasons_of_their_own_stop_nothing_else(root: Path, other: tuple[int, str]) -> None:
    names, _ = started(root, {"a": BROKEN, "b": other, "c": FINE}, seeds=1)
    assert names == ["a-0", "b-0", "c-0"]


def test_a_run_that_a_signal_ends_says_nothing_about_the_others(root: Path) -> None:
    assert started(root, {"a": (143, "stopped"), "b": (143, "stopped"), "c": FINE}, seeds=1)[0] == ["a-0", "b-0", "c-0"]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        long("--model.sampling.group_size=0", "model.sampling.group_size must be at least 1"),
        long("--data.source.root=/proc/nowhere/x", "data.source.root is /proc/nowhere/x"),
        ("--model.engine.max_rows=1", "model.engine.max_rows must be at least model.sampling.group_size"),
    ],
)
def test_what_objects_and_places_tell_is_told_before_the_first_run(root: Path, flag: str, words: str) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        main(["--config=configs/tiny/grpo.yaml", f"--trainer.logger.save_dir={root}", flag])
    assert not (root / "started").exists()
