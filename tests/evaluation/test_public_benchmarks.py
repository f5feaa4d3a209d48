"""Each public benchmark of the paper, from files in its own layout to its score, with real evalscope."""

from pathlib import Path

import pytest

from evaluation.config import EndpointConfig, EvaluationConfig, GenerationConfig
from evaluation.evaluate import evaluate
from evaluation.fixtures import FIXTURES, write_fixture
from evaluation.outcome import Outcome
from tests.evaluation.answers import ACCURACY, SAID, reply_of
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
