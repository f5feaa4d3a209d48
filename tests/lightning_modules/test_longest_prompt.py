"""A prompt that the model cannot read together with what follows is left out, like one above the limit."""

from typing import Any

import pytest

from algorithms import ConfigError, PreferencePair, Prompt, PromptError
from lightning_modules import AlignmentModule, MPOModule
from lightning_modules.learning import LearningConfig
from lightning_modules.reward_model.module import RewardModelModule
from models import FreshRewardModel, Policy
from rewards import AccuracyReward, RewardPart, WeightedReward
from rollouts import SamplingConfig, TransformersEngine
from tests.models.reading.test_templated_text import Built

PROMPT = Prompt(uid=0, key="0", question="how many red ?")


@pytest.fixture
def short_policy(policy: Policy) -> Policy:
    """One that reads 30 tokens."""
    policy.model.config.get_text_config().max_position_embeddings = 30
    return policy


def rollout_module(policy: Policy, max_new_tokens: int) -> Any:
    reward = WeightedReward({"accuracy": RewardPart(AccuracyReward())})
    return MPOModule(
        Built(policy),
        LearningConfig(trainable=("adapter",)),
        TransformersEngine(),
        reward,
        sampling=SamplingConfig(max_new_tokens=max_new_tokens),
    )


def test_a_prompt_leaves_room_for_the_longest_completion(short_policy: Policy) -> None:
    assert rollout_module(short_policy, 10).longest_prompt == 20


def test_completions_as_long_as_the_context_are_refused_with_the_key(short_policy: Policy) -> None:
    with pytest.raises(ConfigError, match=r"^model\.sampling\.max_new_tokens must be below 30, got 30"):
        _ = rollout_module(short_policy, 30).longest_prompt


def test_a_model_that_does_not_say_how_much_it_reads_sets_no_limit(short_policy: Policy, monkeypatch) -> None:
    monkeypatch.setattr(Policy, "context_length", None)
    assert rollout_module(short_policy, 10_000).longest_prompt is None


def test_a_pair_longer_than_the_model_reads_is_left_out(short_policy: Policy) -> None:
    modules: tuple[Any, ...] = (
        rollout_module(short_policy, 10),
        RewardModelModule(FreshRewardModel(Built(short_policy)), [], optimizer=LearningConfig().optimizer),
    )
    for module in modules:
        short, long = (PreferencePair(uid=0, prompt=PROMPT, chosen="red " * n, rejected="blue") for n in (2, 40))
        assert module.pair_problem(short, None) is None
        reason, detail = module.pair_problem(long, None)
        assert reason == "too many tokens"
        assert detail.endswith("the model reads 30")
        assert module.pair_problem(short, 3)[1].endswith("data.max_pair_tokens is 3")


def test_a_demonstration_longer_than_the_model_reads_is_left_out(short_policy: Policy) -> None:
    module = AlignmentModule(Built(short_policy), LearningConfig(trainable=("adapter",)))
    short, long = (Prompt(uid=0, key="0", question="how many ?", columns={"completion": "red " * n}) for n in (2, 40))
    assert module.prompt_length(short) == len(short_policy.encoder.encode(short).token_ids)
    with pytest.raises(PromptError, match=r"too many tokens: .* of its completion, the model reads 30"):
        module.prompt_length(long)
