"""What the two vLLM engines and the server do around vLLM, with a stand-in for vLLM itself."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from algorithms import Prompt
from models import Policy
from rollouts import EngineError, RolloutEngine, SamplingConfig, VLLMEngine, VLLMServerEngine, VLLMSettings
from rollouts.vllm.guard.refusal import TryAgain
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE
from rollouts.vllm.model_thread import ModelThread
from rollouts.vllm.policy_files import policy_files
from rollouts.vllm.requests import requests_of
from tests.rollouts.vllm.stand_in import TOKEN, StandInModel, serving, take_vllms_place

SAMPLING = SamplingConfig(group_size=4, temperature=0.8, max_new_tokens=12)


@pytest.fixture(autouse=True)
def _stand_in(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    take_vllms_place(policy, monkeypatch)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    policy.set_trainable(["adapter"])


@pytest.fixture(params=[VLLMEngine, VLLMServerEngine])
def engine(request: pytest.FixtureRequest) -> Iterator[RolloutEngine]:
    if request.param is VLLMEngine:
        yield VLLMEngine()
    else:
        with serving() as url:
            yield VLLMServerEngine(url=url, timeout_s=20.0)


def texts(engine: RolloutEngine, prompts: list[Prompt]) -> list[list[str]]:
    groups = engine.generate(prompts, SAMPLING, seed=7)
    return [[completion.text for completion in group] for group in groups]


def move(policy: Policy) -> None:
    """Change the weights that learn, as an optimizer step would."""
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)


def test_all_weights_go_over_first_and_afterwards_only_those_that_learn(engine, policy: Policy) -> None:
    engine.sync(policy, version=0)
    (model,) = StandInModel.built
    assert [sorted(load) for load in model.loads] == [sorted(policy.model.state_dict())]
    move(policy)
    engine.sync(policy, version=1)
    assert model.loads[1:] == [[name for name, p in policy.model.named_parameters() if p.requires_grad]]
    assert engine.last_sync.num_tensors == len(model.loads[1])
    assert all(torch.equal(model.weights[name], tensor) for name, tensor in policy.model.state_dict().items())


def test_nothing_goes_over_again_for_the_same_version(engine, policy: Policy) -> None:
    engine.sync(policy, version=3)
    first = engine.last_sync
    engine.sync(policy, version=3)
    assert engine.last_sync is first
    assert len(StandInModel.built[0].loads) == 1


def test_another_policy_gets_a_model_of_its_own(engine, policy: Policy, qwen_vl_policy: Policy) -> None:
    engine.sync(policy, version=0)
    engine.sync(qwen_vl_policy, version=0)
    first, second = StandInModel.built
    assert first.is_closed
    assert [sorted(load) for load in second.loads] == [sorted(qwen_vl_policy.model.state_dict())]


def test_completions_are_those_of_the_last_weights_handed_over(engine, policy: Policy, prompts) -> None:
    engine.sync(policy, version=0)
    before = texts(engine, prompts)
    move(policy)
    assert texts(engine, prompts) == before
    engine.sync(policy, version=1)
    assert texts(engine, prompts) != before
    assert [len(group) for group in before] == [4, 4, 4]


def test_a_rollout_that_fails_once_is_sampled_again_as_if_nothing_had_happened(engine, policy, prompts) -> None:
    engine.sync(policy, version=0)
    before = texts(engine, prompts)
    StandInModel.errors.append(RuntimeError("out of memory"))
    assert texts(engine, prompts) == before
    assert engine.num_restarts == 1


def test_a_rollout_that_fails_again_and_again_is_an_error_with_the_reason(engine, policy, prompts) -> None:
    engine.sync(policy, version=0)
    StandInModel.errors.extend([RuntimeError("out of memory")] * 10)
    with pytest.raises(EngineError, match=r"failed.*out of memory"):
        texts(engine, prompts)


def test_an_engine_that_was_shut_down_gets_all_weights_with_the_next_sync(engine, policy, prompts) -> None:
    engine.sync(policy, version=0)
    before = texts(engine, prompts)
    engine.shut_down()
    with pytest.raises(EngineError, match="sync"):
        texts(engine, prompts)
    engine.sync(policy, version=0)
    assert texts(engine, prompts) == before
    assert [sorted(load) for load in StandInModel.built[1].loads] == [sorted(policy.model.state_dict())]


# --- the server ---------------------------------------------------------------------------------------------


def test_the_settings_and_files_of_a_policy_reach_the_server(policy: Policy) -> None:
    with serving() as url:
        VLLMServerEngine(url=url).sync(policy, version=0)
    (model,) = StandInModel.built
    assert "config.json" in model.files.files
    assert model.settings == VLLMServerEngine().settings


def test_a_server_that_was_restarted_gets_policy_and_weights_again(policy: Policy, prompts) -> None:
    model = ModelThread()
    with serving(model) as url:
        engine = VLLMServerEngine(url=url, max_restarts=1)
        engine.sync(policy, version=0)
        before = texts(engine, prompts)
        model.session = ""
        assert texts(engine, prompts) == before
        assert engine.num_restarts == 1
        assert len(StandInModel.built) == 2


def test_a_run_whose_server_was_taken_by_another_run_stops_with_that_reason(policy: Policy, prompts) -> None:
    with serving() as url:
        first, second = (VLLMServerEngine(url=url) for _ in range(2))
        first.sync(policy, version=0)
        second.sync(policy, version=0)
        assert texts(second, prompts)
        with pytest.raises(EngineError, match="another run has taken"):
            texts(first, prompts)
        assert first.num_restarts == 1


def test_a_server_without_weights_refuses_to_sample(policy: Policy, prompts) -> None:
    model = ModelThread()
    with serving(model) as url:
        engine = VLLMServerEngine(url=url, max_restarts=0)
        engine.sync(policy, version=0)
        model.version = -1
        with pytest.raises(EngineError, match="the server has no weights"):
            texts(engine, prompts)


def test_a_server_elsewhere_that_never_answers_is_an_error_with_its_address(policy: Policy) -> None:
    with serving() as url:
        pass
    with pytest.raises(EngineError, match=url.removeprefix("http://")):
        VLLMServerEngine(url=url, timeout_s=0.0, max_restarts=0).sync(policy, version=0)


def test_requests_that_wait_together_are_sampled_as_one_batch(policy: Policy, prompts) -> None:
    model, engine_side = ModelThread(), policy_files(policy)
    threading.Thread(target=model.run, daemon=True).start()
    session = model.take_policy(engine_side, VLLMSettings())
    model.version = 0
    (stand_in,) = StandInModel.built
    requests = requests_of(policy, prompts, SAMPLING, seed=0)
    results: dict[int, list] = {}

    def send(rank: int, part: list) -> threading.Thread:
        thread = threading.Thread(target=lambda: results.update({rank: model.generate(session, part, 0)}))
        thread.start()
        return thread

    with stand_in.busy():
        first = send(0, requests[:1])
        while not stand_in.batches:
            time.sleep(0.001)
        # These two wait until the first has been sampled.
        waiting = [send(1, requests[1:]), send(2, requests[:1])]
        time.sleep(0.1)
    for thread in (first, *waiting):
        thread.join()
    assert stand_in.batches == [1, 3]
    assert [len(results[rank]) for rank in range(3)] == [1, 2, 1]
    assert results[2] == results[0]


def test_requests_behind_new_weights_are_not_sampled_with_the_old_ones(policy: Policy, prompts) -> None:
    model = ModelThread()
    threading.Thread(target=model.run, daemon=True).start()
    session = model.take_policy(policy_files(policy), VLLMSettings())
    (stand_in,) = StandInModel.built
    requests = requests_of(policy, prompts, SAMPLING, seed=0)
    model.version = 0
    weights = [("a", torch.ones(2))]
    with stand_in.busy():
        calls = [lambda: model.generate(session, requests, 0), lambda: model.generate(session, requests, 0),
                 lambda: model.take_weights(session, weights, 1),
                 lambda: model.generate(session, requests, 1)]  # fmt: skip
        threads = [threading.Thread(target=call) for call in calls]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert stand_in.history == ["generate", "generate", "load", "generate"]


def test_requests_for_other_weights_than_the_server_has_are_refused_and_the_others_sampled(policy, prompts) -> None:
    model = ModelThread()
    threading.Thread(target=model.run, daemon=True).start()
    session = model.take_policy(policy_files(policy), VLLMSettings())
    model.take_weights(session, [("a", torch.ones(2))], 3)
    requests = requests_of(policy, prompts, SAMPLING, seed=0)
    (stand_in,) = StandInModel.built
    outcomes: dict[int, str] = {}

    def ask(version: int) -> None:
        try:
            outcomes[version] = f"{len(model.generate(session, requests, version))} groups"
        except TryAgain as refusal:
            outcomes[version] = str(refusal)

    with stand_in.busy():
        threads = [threading.Thread(target=ask, args=(version,)) for version in (3, 4, 2)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert outcomes[3] == "3 groups"
    assert "of version 3, and not of 4" in outcomes[4]
    assert "of version 3, and not of 2" in outcomes[2]


def test_an_update_that_vllm_fails_on_is_never_sampled_from(policy, prompts, monkeypatch) -> None:
    def load_half(self: StandInModel, weights) -> None:
        self.weights |= dict([next(iter(weights))])
        raise RuntimeError("out of memory")

    with serving() as url:
        engine = VLLMServerEngine(url=url, max_restarts=2)
        engine.sync(policy, version=0)
        before = texts(engine, prompts)
        with monkeypatch.context() as patch:
            patch.setattr(StandInModel, "load", load_half)
            move(policy)
            with pytest.raises(EngineError, match="out of memory"):
                engine.sync(policy, version=1)
        with pytest.raises(EngineError, match="no weights"):
            texts(engine, prompts)
        engine.num_restarts = 0
        engine.sync(policy, version=1)
        assert texts(engine, prompts) != before


def test_tensors_of_an_update_are_let_go_while_they_are_loaded(policy: Policy) -> None:
    model, weights, left = ModelThread(), [(str(i), torch.ones(2)) for i in range(3)], []
    threading.Thread(target=model.run, daemon=True).start()
    session = model.take_policy(policy_files(policy), VLLMSettings())
    (stand_in,) = StandInModel.built
    stand_in.load = lambda tensors: left.extend(len(weights) for _ in tensors)
    model.take_weights(session, weights, 0)
    assert left == [2, 1, 0]
