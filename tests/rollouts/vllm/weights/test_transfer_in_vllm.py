"""vLLM's weight transfer with its own trainer engine and client, over gloo, to real vLLM on the CPU."""

import os
import signal
from collections.abc import Iterator

import pytest

from models import Policy
from rollouts import VLLMServerEngine, VLLMSettings
from rollouts.vllm.client import ServerClient
from rollouts.vllm.settings import TRANSFER_STEPS
from tests.conftest import sharp_policy
from tests.rollouts.test_engine_contract import SAMPLING, changed, gap, sample, texts

pytestmark = pytest.mark.vllm

GLOO = VLLMSettings(max_model_len=256, cache_megabytes=64, weight_transfer="gloo")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return sharp_policy()


@pytest.fixture(scope="module")
def engine() -> Iterator[VLLMServerEngine]:
    engine = VLLMServerEngine(GLOO, max_restarts=1)
    yield engine
    engine.shut_down()


def test_weights_arrive_and_a_tied_head_is_neither_sent_twice_nor_missed(engine, policy, prompts, monkeypatch) -> None:
    steps, take = [], ServerClient.take_step
    monkeypatch.setattr(
        ServerClient, "take_step", lambda self, step, *rest: steps.append(step) or take(self, step, *rest)
    )
    groups = sample(engine, policy, prompts)
    assert steps == list(TRANSFER_STEPS)
    assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
    different = {tensor.data_ptr(): tensor for tensor in policy.model.state_dict().values()}.values()
    assert engine.last_sync.num_bytes == sum(tensor.numel() * tensor.element_size() for tensor in different)
    # From then on the connection stays.
    steps.clear()
    sample(engine, policy, prompts)
    assert steps == list(TRANSFER_STEPS[1:])


@pytest.mark.parametrize("trainable", [("adapter",), ("vision_tower", "adapter", "language_model")])
def test_new_weights_are_used_also_for_a_picture_seen_before(engine, policy, prompts, trainable) -> None:
    before = texts(sample(engine, policy, prompts))
    with changed(policy, trainable=trainable):
        groups = sample(engine, policy, prompts)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
    assert texts(groups) != before


def test_a_server_that_was_killed_comes_back_with_the_weights(engine, policy, prompts) -> None:
    before = texts(sample(engine, policy, prompts))
    os.kill(engine.process.pid, signal.SIGKILL)
    assert texts(sample(engine, policy, prompts)) == before
    assert engine.num_restarts == 1
