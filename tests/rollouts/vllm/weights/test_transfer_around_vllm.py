"""vLLM's weight transfer as far as it goes without vLLM: what is refused, and what reaches the model's thread."""

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch

from algorithms import ConfigError, DataError
from models import Policy
from rollouts import EngineError, VLLMEngine, VLLMServerEngine, VLLMSettings
from rollouts.vllm.client import ServerClient
from rollouts.vllm.guard.transfer_rules import check_step
from rollouts.vllm.policy_files import policy_files
from rollouts.vllm.settings import TRANSFER_STEPS
from tests.rollouts.vllm.stand_in import TOKEN, StandInModel, serving

GLOO = VLLMSettings(weight_transfer="gloo")
INIT = {"init_info": {"master_address": "127.0.0.1", "master_port": 1234, "rank_offset": 1, "world_size": 2}}
UPDATE = {"update_info": {"names": ["a"], "dtype_names": ["bfloat16"], "shapes": [[2, 3]]}}

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture
def client() -> Iterator[ServerClient]:
    with serving(allows_transfer=True) as url:
        yield ServerClient(urlsplit(url).netloc, 20.0, TOKEN)


# --- settings -----------------------------------------------------------------------------------------------


def test_nccl_is_refused_in_the_first_second_where_there_is_no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sentence = r"^model\.engine\.settings\.weight_transfer must be http on this machine, got nccl: NCCL .* GPUs"
    with pytest.raises(ConfigError, match=sentence):
        VLLMServerEngine(VLLMSettings(weight_transfer="nccl"))
    VLLMServerEngine(GLOO)


def test_an_engine_in_the_learners_process_needs_no_transfer() -> None:
    with pytest.raises(ConfigError, match=r"weight_transfer is for rollouts\.VLLMServerEngine"):
        VLLMEngine(GLOO)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"lora": "adapter"}, r"weight_transfer must be http with model\.engine\.settings\.lora=adapter, got gloo"),
        ({"tensor_parallel_size": 2}, r"weight_transfer must be http or nccl .*tensor_parallel_size 2, got gloo"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(other: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        VLLMSettings(weight_transfer="gloo", **other)


def test_a_learner_without_vllm_is_told_what_is_missing(policy: Policy, monkeypatch) -> None:
    # Also its modules that other tests have imported, where vLLM is installed.
    for name in ["vllm", *(name for name in sys.modules if name.startswith("vllm."))]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "rollouts.vllm.weights.transfer", raising=False)
    with serving(allows_transfer=True) as url:
        engine = VLLMServerEngine(GLOO, url=url, timeout_s=20.0)
        with pytest.raises(EngineError, match=r"weight_transfer=gloo needs vLLM beside the learner .* or set http"):
            engine.sync(policy, version=0)


# --- the server ---------------------------------------------------------------------------------------------


def test_a_server_connects_to_nobody_unless_it_was_started_for_that(policy: Policy) -> None:
    with serving() as url:
        client = ServerClient(urlsplit(url).netloc, 20.0, TOKEN)
        with pytest.raises(EngineError, match=r"takes weights over HTTP only.*--allow-weight-transfer"):
            client.send_policy(policy_files(policy), GLOO)
        session = client.send_policy(policy_files(policy), VLLMSettings())
        for step in TRANSFER_STEPS:
            with pytest.raises(EngineError, match=r"--allow-weight-transfer"):
                client.take_step(step, None, session, 1)
    assert StandInModel.built[0].steps == []


def test_the_steps_reach_the_model_in_order_and_the_last_one_completes_the_version(client, policy: Policy) -> None:
    session = client.send_policy(policy_files(policy), GLOO)
    for step, arguments in zip(TRANSFER_STEPS, (INIT, None, UPDATE, None), strict=True):
        client.take_step(step, arguments, session, 3)
        if step != TRANSFER_STEPS[-1]:
            # New weights may lie beside old ones.
            with pytest.raises(EngineError, match="no weights"):
                client.sample(session, [], 3)
    assert client.sample(session, [], 3) == []
    (model,) = StandInModel.built
    assert model.steps == list(zip(TRANSFER_STEPS, (INIT, {}, UPDATE, {}), strict=True))


def test_an_update_that_breaks_off_leaves_no_weights(client, policy: Policy) -> None:
    session = client.send_policy(policy_files(policy), GLOO)
    client.send_weights(session, policy.stream_weights(), 2, {})
    assert client.sample(session, [], 2) == []
    client.take_step("start_weight_update", None, session, 3)
    with pytest.raises(EngineError, match="no weights"):
        client.sample(session, [], 2)


def test_a_step_of_an_earlier_run_is_refused(client, policy: Policy) -> None:
    session = client.send_policy(policy_files(policy), GLOO)
    client.send_policy(policy_files(policy), GLOO)
    with pytest.raises(EngineError, match="another run has taken"):
        client.take_step("start_weight_update", None, session, 1)


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        ("init_weight_transfer_engine", {}),
        ("init_weight_transfer_engine", {"init_info": []}),
        ("init_weight_transfer_engine", {"init_info": {**INIT["init_info"], "master_port": "1234"}}),
        ("init_weight_transfer_engine", {"init_info": {**INIT["init_info"], "ipc_handles_pickled": "gASV"}}),
        ("start_weight_update", {"module": "os"}),
        ("update_weights", UPDATE | {"more": 1}),
        ("update_weights", {"update_info": {**UPDATE["update_info"], "dtype_names": ["load"]}}),
        ("update_weights", {"update_info": {**UPDATE["update_info"], "shapes": [[-1, -6]]}}),
        ("update_weights", {"update_info": {**UPDATE["update_info"], "shapes": [[2**20, 2**20]]}}),
        ("update_weights", {"update_info": {**UPDATE["update_info"], "ipc_handles_pickled": "gASV"}}),
        ("finish_weight_update", {"weight_version": {}}),
    ],
)
def test_arguments_that_vllms_own_trainer_does_not_send_are_refused(step: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        check_step(step, arguments, 10**9)


def test_arguments_that_vllms_own_trainer_sends_are_taken() -> None:
    for step, arguments in zip(TRANSFER_STEPS, (INIT, {}, UPDATE, {}), strict=True):
        check_step(step, arguments, 10**9)
