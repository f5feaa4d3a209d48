import json
from dataclasses import replace
from pathlib import Path

import pytest

from algorithms import ConfigError
from evaluation.__main__ import parsed
from evaluation.config import EvaluationConfig, GenerationConfig
from evaluation.outcome import outcome_of, read_outcome, write_outcome
from evaluation.samples import read_samples
from evaluation.scores import read_measured
from evaluation.table import markdown, write_tables
from tests.evaluation.harness_files import PNG, report, review, write

CONFIG = EvaluationConfig(
    policy="runs/exported", benchmarks=("mmmu", "pope"),
    generation=GenerationConfig(temperature=0.0, num_runs=1, pass_at=()),
)  # fmt: skip


def outcome(folder: Path, name: str = "mmmu"):
    rows = {"Math": [review(0, r"\boxed{A}", 1.0), review(1, "it is A", 1.0), review(2, r"\boxed{B}", 0.0)]}
    measured = read_measured(write(folder, rows, report({"accuracy": 2 / 3}, name=name, errored=1)))
    return outcome_of(name, measured, CONFIG, judge=None, seconds=2.0)


def test_a_row_stands_beside_the_paper_s_own_number_with_its_source(tmp_path: Path) -> None:
    shown = markdown(CONFIG, [outcome(tmp_path)[0]])
    (row,) = [line for line in shown.splitlines() if line.startswith("| MMMU |") and "73.6 %" in line]
    assert "66.7 %" in row
    assert "arXiv:2504.16656v3, table 1" in row
    assert "MMMU: 1 requests failed and are in no mean." in shown


def test_a_benchmark_that_the_paper_has_no_number_for_says_so(tmp_path: Path) -> None:
    assert "not reported" in markdown(CONFIG, [outcome(tmp_path, "pope")[0]])


def test_disagreements_of_the_judges_are_in_the_table(tmp_path: Path) -> None:
    one, _ = outcome(tmp_path)
    assert (one.agreement, one.num_compared) == (pytest.approx(2 / 3), 3)
    assert "MMMU: 1 x evalscope alone says right (no_box)." in markdown(CONFIG, [one])


def test_an_outcome_that_was_written_is_read_back_whole(tmp_path: Path) -> None:
    one, samples = outcome(tmp_path / "evalscope")
    assert read_outcome(tmp_path) is None
    write_outcome(tmp_path, one, samples)
    again = read_outcome(tmp_path)
    assert again is not None
    assert again.summary == one.summary
    assert (again.score, again.differences, again.folder) == (one.score, one.differences, str(tmp_path))
    kept = read_samples(tmp_path / "samples.jsonl")
    assert kept[1].verdicts == {"evalscope": True, "project": False}
    assert (tmp_path / kept[0].pictures[0]).read_bytes() == PNG
    # The same picture three times is one file.
    assert len(list((tmp_path / "pictures").iterdir())) == 1


def test_the_three_tables_hold_the_same_numbers(tmp_path: Path) -> None:
    one, _ = outcome(tmp_path / "evalscope")
    files = write_tables(tmp_path, CONFIG, [one])
    assert [file.name for file in files] == ["table.md", "table.json", "table.html"]
    whole = json.loads((tmp_path / "table.json").read_text())
    assert whole["benchmarks"][0]["paper"] == {
        "model": "R1V2-38B", "score": pytest.approx(0.736), "source": "arXiv:2504.16656v3, table 1",
    }  # fmt: skip
    assert "66.7 %" in (tmp_path / "table.html").read_text()
    assert "66.7 %" in (tmp_path / "table.md").read_text()


def test_made_up_data_have_no_figure_of_the_paper_beside_them(tmp_path: Path) -> None:
    made_up = replace(CONFIG, made_up=True)
    shown = markdown(made_up, [outcome(tmp_path)[0]])
    assert "The data are made up" in shown
    assert "73.6" not in shown


def test_a_limit_is_told_beside_the_numbers(tmp_path: Path) -> None:
    limited = EvaluationConfig(policy="x", benchmarks=("mmmu",), limit=5)
    assert "not comparable with the paper" in markdown(limited, [outcome(tmp_path)[0]])


@pytest.mark.parametrize("file", sorted(map(str, Path("configs/evaluation").glob("*.yaml"))))
def test_every_config_is_accepted(file: str) -> None:
    config = parsed(["--config", file, "--policy", "runs/exported", "--benchmarks", "pope", "aime24"])
    assert config.benchmarks == ("pope", "aime24")
    assert config.title == "exported"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--benchmarks", "popes", "--policy", "x"], "there is no benchmark 'popes'"),
        (["--benchmarks", "pope"], "got neither"),
        (["--benchmarks", "pope", "--policy", "x", "--generation.temperatur", "1"], "temperatur"),
        (["--benchmarks", "pope", "pope", "--policy", "x"], "each one once"),
        (["--benchmarks", "pope", "--policy", "x", "--generation.num_runs", "0"], "num_runs must be at least 1"),
        (["--benchmarks", "pope", "--policy", "x", "--generation.pass_at", "[9]"], "generation.pass_at must lie"),
        (["--benchmarks", "pope", "--policy", "x", "--server.flags", "{port: 1}"], "server.flags must not hold port"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_with_its_key(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((ConfigError, SystemExit)) as raised:
        parsed(flags)
    assert told in f"{raised.value} {capsys.readouterr().err}"
