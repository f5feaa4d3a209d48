"""Each public benchmark of the paper, from files in its own layout to its score, with real evalscope."""

from pathlib import Path

import pytest

from evaluation.config import EndpointConfig, EvaluationConfig, GenerationConfig
from evaluation.evaluate import evaluate
from evaluation.fixtures import FIXTURES, write_fixture
from evaluation.outcome import Outcome
from tests.evaluation.answers import ACCURACY, FURTHER, SAID, reply_of
from tests.evaluation.fake_endpoint import FakeEndpoint

pytestmark = pytest.mark.evaluation


def run(benchmark: str, folder: Path, endpoint: FakeEndpoint, **settings) -> Outcome:
    fixture = write_fixture(benchmark, folder / "data")
    greedy = GenerationConfig(max_tokens=64, temperature=0.0, top_p=1.0, repetition_penalty=1.0, num_runs=1, pass_at=())
    config = EvaluationConfig(
        endpoint=EndpointConfig(url=endpoint.url, model="fake"), benchmarks=(benchmark,), out=str(folder / "out"),
        data={benchmark: str(folder / "data")}, subsets={benchmark: list(fixture.subsets)} if fixture.subsets else {},
        **{"generation": greedy} | settings,
    )  # fmt: skip
    (outcome,) = evaluate(config)
    return outcome


@pytest.mark.parametrize("benchmark", list(FIXTURES))
def test_a_score_is_what_it_is_by_hand(benchmark: str, tmp_path: Path) -> None:
    with FakeEndpoint(reply_of(benchmark)) as endpoint:
        outcome = run(benchmark, tmp_path, endpoint)
    assert outcome.num_failed == 0
    assert outcome.summary is not None
    assert outcome.summary.num_samples == len(SAID[benchmark])
    assert outcome.summary.accuracy == pytest.approx(ACCURACY[benchmark])
    for name, score in FURTHER.get(benchmark, {}).items():
        # evalscope rounds what it writes to four digits.
        assert outcome.metrics[name] == pytest.approx(score, abs=1e-4)


def test_both_judges_say_the_same_of_answers_in_a_box(tmp_path: Path) -> None:
    with FakeEndpoint(reply_of("math_vision")) as endpoint:
        outcome = run("math_vision", tmp_path, endpoint)
    assert (outcome.agreement, outcome.num_compared) == (1.0, 4)
    # The paper's instruction, in place of evalscope's.
    assert all("'Answer: \\boxed{$" in text for text in endpoint.asked)
    assert not any("ANSWER: [LETTER]" in text for text in endpoint.asked)


def test_evalscope_s_own_instruction_is_left_where_it_is_asked_for(tmp_path: Path) -> None:
    with FakeEndpoint(reply_of("math_vision")) as endpoint:
        run("math_vision", tmp_path, endpoint, prompt="harness")
    assert any("ANSWER: [LETTER]" in text for text in endpoint.asked)
