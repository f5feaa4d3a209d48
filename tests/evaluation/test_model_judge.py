from pathlib import Path

import pytest

from algorithms import ConfigError
from evaluation.config import EndpointConfig
from evaluation.judging.model_judge import Judge, key_of
from evaluation.scores import ScoredSample
from tests.evaluation.fake_endpoint import FakeEndpoint, Reply


def sample(completion: str, answer: str | None = "7") -> ScoredSample:
    return ScoredSample(uid="1", run=0, category="", score=1.0, question="q", completion=completion, answer=answer,
                        tokens=1)  # fmt: skip


def says(text: str) -> Reply:
    response = text.rpartition("Response: ")[2]
    return {"seven": "Yes.", "eight": "no", "odd": "perhaps"}.get(response, 500)


def test_a_judge_is_asked_once_for_each_completion_and_its_answers_are_kept(tmp_path: Path) -> None:
    samples = [sample("seven"), sample("eight"), sample("odd"), sample("x", None)]
    with FakeEndpoint(says) as endpoint:
        config = EndpointConfig(url=endpoint.url, model="judge")
        first = Judge(config, tmp_path / "judge.jsonl").verdicts(samples)
        assert first == [True, False, None, None]
        assert len(endpoint.asked) == 3
        second = Judge(config, tmp_path / "judge.jsonl")
        assert second.verdicts(samples) == first
        assert (len(endpoint.asked), second.num_asked) == (3, 0)


def test_another_judge_is_asked_anew(tmp_path: Path) -> None:
    with FakeEndpoint(says) as endpoint:
        for model in ("one", "two"):
            Judge(EndpointConfig(url=endpoint.url, model=model), tmp_path / "judge.jsonl").verdicts([sample("seven")])
        assert len(endpoint.asked) == 2


def test_a_judge_that_fails_says_nothing_and_is_asked_again_next_time(tmp_path: Path) -> None:
    with FakeEndpoint(says) as endpoint:
        config = EndpointConfig(url=endpoint.url, model="judge")
        assert Judge(config, tmp_path / "judge.jsonl").verdicts([sample("unknown")]) == [None]
        asked = len(endpoint.asked)
        Judge(config, tmp_path / "judge.jsonl").verdicts([sample("unknown")])
        assert len(endpoint.asked) == 2 * asked


def test_a_key_that_is_not_set_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    config = EndpointConfig(url="https://judge.example/v1", model="m", key_variable="JUDGE_KEY")
    with pytest.raises(ConfigError, match=r"judge\.key_variable names JUDGE_KEY"):
        key_of(config, "judge")
