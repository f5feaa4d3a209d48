import json
from pathlib import Path

import pytest

from algorithms import DataError
from evaluation.config import ImportedResult
from evaluation.imported import read_imported


def test_a_file_of_accuracies_of_vlmevalkit_is_read(tmp_path: Path) -> None:
    file = tmp_path / "m_MMMU_DEV_VAL_acc.csv"
    file.write_text('"split","Overall","Art"\n"validation","0.736","0.8"\n')
    outcome = read_imported(ImportedResult(harness="vlmevalkit", benchmark="mmmu", path=str(file)))
    assert (outcome.score, outcome.metric, outcome.metrics["Art"]) == (0.736, "Overall", 0.8)


def test_a_file_of_scores_of_vlmevalkit_has_its_total_in_a_row(tmp_path: Path) -> None:
    file = tmp_path / "m_MathVista_MINI_score.csv"
    file.write_text('"Task&Skill","tot","hit","acc"\n"algebra","3","1","33.3"\n"Overall","10","7","70.0"\n')
    outcome = read_imported(ImportedResult(harness="vlmevalkit", benchmark="math_vista", path=str(file)))
    assert (outcome.score, outcome.metric) == (0.7, "acc")


@pytest.mark.parametrize("harness", ["lm-eval", "lmms-eval"])
def test_results_of_the_language_model_harnesses_are_read(harness, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    scores = {"alias": "aime24", "exact_match,none": 0.5, "exact_match_stderr,none": 0.1}
    file.write_text(json.dumps({"results": {"aime24": scores}}))
    outcome = read_imported(ImportedResult(harness=harness, benchmark="aime24", path=str(file)))
    assert (outcome.score, outcome.metric, outcome.harness) == (0.5, "exact_match", harness)
    assert outcome.metrics == {"exact_match": 0.5}


@pytest.mark.parametrize(
    ("harness", "text", "told"),
    [
        ("vlmevalkit", '"a","b"\n"1","2"\n', "none of the columns"),
        ("vlmevalkit", "", "none of the columns"),
        ("lm-eval", '{"results": {"a": {}, "b": {}}}', "holds 2 tasks"),
        ("lm-eval", '{"results": {"a": {"bleu,none": 0.1}}}', "has none of"),
        ("lmms-eval", "[]", "is no file of scores"),
        ("lm-eval", "not json", "is no file of scores"),
    ],
)
def test_a_file_without_a_score_is_told(harness, text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(DataError, match=told):
        read_imported(ImportedResult(harness=harness, benchmark="mmmu", path=str(file)))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_imported(ImportedResult(harness="lm-eval", benchmark="mmmu", path=str(tmp_path / "none")))
