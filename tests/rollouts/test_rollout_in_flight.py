"""One rollout in flight while the learner goes on: what every engine that samples apart must do."""

import threading
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import pytest
import torch

from algorithms import Prompt
from experiments.ahead.slow_engine import SlowEngine
from models import Policy
from rollouts import BackgroundCall, EngineError, RolloutEngine, SamplingConfig, TransformersEngine, VLLMServerEngine
from rollouts.vllm.client import ServerClient
from rollouts.vllm.engine import VLLMEngine
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE
from tests.rollouts.vllm.stand_in import TOKEN, StandInModel, serving, take_vllms_place

SAMPLING = SamplingConfig(group_size=4, temperature=1.0, max_new_tokens=6)


class Case(NamedTuple):
    engine: Any
    policy: Policy
    prompts: list[Prompt]

    def busy(self) -> AbstractContextManager[None]:
        """Where it can be held up: no completion comes before the context ends."""
        return StandInModel.built[0].busy() if isinstance(self.engine, VLLMServerEngine) else nullcontext()

    def start(self, seed: int = 7) -> None:
        self.engine.start(self.prompts, SAMPLING, seed=seed)

    def generate(self, seed: int = 7) -> list[list[list[int]]]:
        return ids(self.engine.generate(self.prompts, SAMPLING, seed=seed))

    def finish(self, version: int = 0) -> list[list[list[int]]]:
        return ids(self.engine.finish(version=version).groups)

    def learn(self, version: int) -> None:
        """Move the weights as an optimizer step would, and hand them over."""
        generator = torch.Generator().manual_seed(version)
        with torch.no_grad():
            for parameter in self.policy.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=generator))
        self.engine.sync(self.policy, version=version)


def ids(groups: list) -> list[list[list[int]]]:
    return [[completion.token_ids.tolist() for completion in group] for group in groups]


@pytest.fixture
def served(policy: Policy, prompts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    policy.set_trainable(["adapter", "language_model"])
    take_vllms_place(policy, monkeypatch)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with serving() as url:
        engine = VLLMServerEngine(url=url, timeout_s=20.0)
        engine.sync(policy, version=0)
        yield Case(engine, policy, prompts)


@pytest.fixture
def slow(policy: Policy, prompts) -> Iterator[Case]:
    policy.set_trainable(["adapter", "language_model"])
    engine = SlowEngine()
    engine.sync(policy, version=0)
    yield Case(engine, policy, prompts)
    engine.shut_down()


@pytest.fixture(params=["served", "slow"])
def case(request: pytest.FixtureRequest) -> Case:
    return request.getfixturevalue(request.param)


def is_server(case: Case) -> bool:
    return isinstance(case.engine, VLLMServerEngine)


def test_a_rollout_in_flight_has_the_completions_that_waiting_for_it_would_have_given(case: Case) -> None:
    expected = case.generate()
    case.start()
    sampled = case.engine.finish(version=5)
    assert ids(sampled.groups) == expected
    # Of the weights that it was started with, whatever the learner's are by now.
    assert sampled.policy_version == 0
    assert sampled.seconds > 0.0


def test_new_weights_wait_for_the_rollout_in_flight(case: Case) -> None:
    before = case.generate()
    with case.busy():
        case.start()
        learner = threading.Thread(target=case.learn, args=(1,))
        learner.start()
        if is_server(case):
            learner.join(0.2)
            assert learner.is_alive()
    learner.join()
    sampled = case.engine.finish(version=1)
    assert ids(sampled.groups) == before != case.generate()
    assert sampled.policy_version == 0
    if is_server(case):
        assert StandInModel.built[0].history[-3:] == ["generate", "load", "generate"]


def test_other_sampling_waits_for_the_rollout_in_flight_and_leaves_it_as_it_is(case: Case) -> None:
    first, second = case.generate(7), case.generate(8)
    case.start(7)
    assert case.generate(8) == second
    assert case.finish() == first


def test_one_rollout_is_in_flight_at_most_and_none_is_finished_twice(case: Case) -> None:
    with pytest.raises(EngineError, match=r"no rollout in flight.*start\(\)"):
        case.finish()
    case.start()
    with pytest.raises(EngineError, match=r"in flight already.*finish\(\)"):
        case.start()
    case.finish()
    with pytest.raises(EngineError, match="no rollout in flight"):
        case.finish()


def test_an_engine_that_was_shut_down_has_given_up_its_rollout(case: Case) -> None:
    with case.busy():
        case.start()
        case.engine.shut_down()
    with pytest.raises(EngineError, match="no rollout in flight"):
        case.finish()
    case.engine.sync(case.policy, version=0)
    case.start()
    assert len(case.finish()) == len(case.prompts)


def test_a_server_that_was_lost_in_flight_and_brought_back_by_new_weights_is_not_brought_back_twice(served) -> None:
    model = served.engine
    with served.busy():
        served.start()
        # As a server that was started anew: the rollout in flight is refused, and so are new weights.
        StandInModel.errors.append(RuntimeError("killed"))
    model.wait()
    model._session = ""
    served.learn(1)
    assert model.finish(version=1).policy_version == 1
    assert model.num_restarts == 0


@pytest.mark.parametrize("engine", [TransformersEngine(), VLLMEngine()])
def test_engines_in_the_process_of_the_learner_do_not_sample_while_it_learns(engine: RolloutEngine, prompts) -> None:
    assert not engine.samples_apart
    with pytest.raises(EngineError, match="samples in the learner's process"):
        engine.start(prompts, SAMPLING, seed=0)


# --- failures -----------------------------------------------------------------------------------------------


def test_a_rollout_lost_in_flight_is_sampled_again_by_the_present_weights_and_says_so(served: Case, caplog) -> None:
    with served.busy():
        StandInModel.errors.append(RuntimeError("out of memory"))
        served.start()
    served.learn(1)
    sampled = served.engine.finish(version=1)
    assert sampled.policy_version == 1
    assert ids(sampled.groups) == served.generate()
    assert served.engine.num_restarts == 1
    assert "sampled again by the weights of step 1 instead of 0" in caplog.text


def test_an_error_in_the_thread_reaches_the_learner_with_the_place_where_it_was_raised(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misbehave(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("a fault of the code")

    monkeypatch.setattr(ServerClient, "sample", misbehave)
    monkeypatch.setattr(TransformersEngine, "generate", misbehave)
    case.start()
    with pytest.raises(ZeroDivisionError) as raised:
        case.finish()
    assert "misbehave" in "".join(traceback.format_exception(raised.value))


def test_waiting_does_not_raise_what_the_call_raised_but_its_result_does() -> None:
    call = BackgroundCall(lambda: 1 // 0, name="test")
    call.wait()
    with pytest.raises(ZeroDivisionError):
        call.result()
    assert call.seconds >= 0.0
