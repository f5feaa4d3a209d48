"""LoRA updates that real vLLM, on the CPU, applies beside its weights."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from algorithms import ConfigError
from models import LoRAConfig, Policy, add_lora, lora_off
from rollouts import RolloutEngine, VLLMEngine, VLLMServerEngine, VLLMSettings
from tests.conftest import sharp_policy
from tests.models.families import family
from tests.rollouts.test_engine_contract import SAMPLING, gap, sample, texts

pytestmark = pytest.mark.vllm

MERGED = VLLMSettings(max_model_len=256, cache_megabytes=64)
ADAPTER = VLLMSettings(max_model_len=256, cache_megabytes=64, lora="adapter")


def with_lora(policy: Policy) -> Policy:
    """Let the adapter learn, and LoRA in the language model that changes what it says."""
    policy.set_trainable(["adapter"])
    # Not a rank that vLLM has room for, so the next larger one is taken.
    add_lora(policy.model, LoRAConfig(rank=3, alpha=6))
    for name, parameter in policy.named_parameters():
        if ".lora_B." in name:  # peft starts these at zero, which would change nothing
            torch.nn.init.normal_(parameter, std=0.3)
    return policy


@contextmanager
def moved(policy: Policy, part: str) -> Iterator[None]:
    """Move what learns and has this in its name, as an optimizer step would, and put it back."""
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if parameter.requires_grad and part in name:
                parameter.add_(0.2 * torch.randn(parameter.shape))
    yield
    policy.model.load_state_dict(before)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return with_lora(sharp_policy())


@pytest.fixture(scope="module", params=[VLLMEngine, VLLMServerEngine])
def engine(request: pytest.FixtureRequest) -> Iterator[RolloutEngine]:
    engine = request.param(ADAPTER)
    yield engine
    engine.shut_down()


def test_log_probs_are_the_learners_to_the_fourth_digit(engine, policy, prompts) -> None:
    groups = sample(engine, policy, prompts)
    assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
    with lora_off(policy.model):
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() > 0.1


def test_new_updates_are_used_and_nothing_else_goes_over(engine, policy, prompts) -> None:
    before = texts(sample(engine, policy, prompts))
    with moved(policy, ".lora_"):
        groups = sample(engine, policy, prompts)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
    assert texts(groups) != before
    learning = sum(p.numel() * p.element_size() for p in policy.parameters() if p.requires_grad)
    assert engine.last_sync.num_bytes == learning


def test_an_adapter_that_learnt_changes_what_is_said_of_a_picture_seen_before(engine, policy, prompts) -> None:
    before = texts(sample(engine, policy, prompts))
    with moved(policy, ".multi_modal_projector."):
        groups = sample(engine, policy, prompts)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
    assert texts(groups) != before


@pytest.mark.parametrize("engine", [VLLMEngine], indirect=True)
def test_vllm_does_not_warn_of_weights_that_need_not_come(engine, policy, caplog) -> None:
    engine.sync(policy, version=0)
    caplog.clear()
    with moved(policy, ".multi_modal_projector."):
        engine.sync(policy, version=10**6)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("engine", [VLLMEngine], indirect=True)
def test_an_update_that_vllm_would_leave_out_is_an_error(engine, policy) -> None:
    engine.sync(policy, version=0)
    layer = "model.vision_tower.encoder.layers.0.self_attn.q_proj"
    update = [(f"{layer}.lora_A.weight", torch.ones(1, 32)), (f"{layer}.lora_B.weight", torch.ones(32, 1))]
    with pytest.raises(ConfigError, match=r"model.engine.settings.lora must be merged.*vision_tower"):
        engine._model.load(update)
    engine.shut_down()


@pytest.mark.parametrize("engine", [VLLMServerEngine], indirect=True)
def test_a_server_that_was_killed_comes_back_with_the_updates(engine, policy, prompts) -> None:
    before = texts(sample(engine, policy, prompts))
    os.kill(engine.process.pid, signal.SIGKILL)
    again = engine.generate(prompts, SAMPLING, seed=7)
    assert texts(again) == before
    assert gap(policy, prompts, again, SAMPLING.temperature).max() < 1e-4


def test_completions_are_those_of_merged_updates_for_fewer_bytes(policy, prompts) -> None:
    said, sizes = [], []
    for settings in (ADAPTER, MERGED):
        engine = VLLMEngine(settings)
        engine.sync(policy, version=0)
        said.append(texts(sample(engine, policy, prompts)))
        sizes.append(engine.last_sync.num_bytes)
        engine.shut_down()
    assert said[0] == said[1]
    assert sizes[0] < sizes[1] / 3


def test_a_clip_tower_with_a_qwen3_is_served_too(prompts) -> None:
    policy, engine = with_lora(family("clip_llava")), VLLMEngine(ADAPTER)
    gaps = gap(policy, prompts, sample(engine, policy, prompts), SAMPLING.temperature)
    engine.shut_down()
    assert gaps.max() < 1e-4
