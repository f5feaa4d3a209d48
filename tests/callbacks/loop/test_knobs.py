"""The thresholds of a run by name: a move reaches the owner, and the owner saves it."""

from collections.abc import Sequence

import pytest

from algorithms import Completion, ConfigError, PairSelection, Prompt
from callbacks.loop.knobs import find_knob
from datamodules import OnlinePreferenceDataModule, PromptFolder
from rewards import Cap, RewardPart, WeightedReward


class Ones:
    """Scores 1."""

    is_rule = True

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [1.0] * len(completions)


def reward() -> WeightedReward:
    return WeightedReward(
        {"rule": RewardPart(Ones()), "taste": RewardPart(Ones(), weight=0.5, scaling=Cap(high=2.0), is_rule=False)}
    )


def test_a_moved_weight_is_that_of_one_part_and_is_saved_with_the_reward() -> None:
    owner = reward()
    knob = find_knob("reward.taste.weight", owner, data=None)
    assert (knob.get(), knob.stricter) == (0.5, -1)
    knob.set(0.25)
    assert knob.get() == 0.25
    assert owner.state_dict()["weights"] == {"rule": 1.0, "taste": 0.25}


def test_a_moved_cap_bounds_the_scores_and_is_saved_with_the_reward() -> None:
    owner = reward()
    knob = find_knob("reward.taste.cap", owner, data=None)
    assert (knob.get(), knob.stricter) == (2.0, -1)
    knob.set(0.5)
    assert knob.get() == 0.5
    scaling = owner.parts["taste"].scaling
    assert scaling is not None
    assert scaling(9.0) == 0.5
    assert owner.state_dict()["scalings"] == {"taste": {"high": 0.5}}


def test_a_moved_margin_changes_nothing_else_of_the_selection() -> None:
    data = OnlinePreferenceDataModule(PromptFolder("unread"), selection=PairSelection(max_per_prompt=3))
    knob = find_knob("data.selection.threshold", reward(), data)
    assert (knob.get(), knob.stricter) == (0.0, 1)
    knob.set(1.5)
    assert knob.get() == 1.5
    assert data.selection == PairSelection(threshold=1.5, max_per_prompt=3)
    assert data.state_dict()["threshold"] == 1.5


def test_a_margin_that_a_share_sets_cannot_be_moved() -> None:
    data = OnlinePreferenceDataModule(PromptFolder("unread"), selection=PairSelection(top_share=0.3))
    with pytest.raises(ConfigError, match=r"data.selection.top_share must be null where data.selection.threshold is"):
        find_knob("data.selection.threshold", reward(), data)


def test_a_threshold_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(
        ConfigError, match=r"it has reward\.rule\.weight, reward\.taste\.weight, reward\.taste\.cap\. A"
    ):
        find_knob("reward.rule.cap", reward(), data=None)
