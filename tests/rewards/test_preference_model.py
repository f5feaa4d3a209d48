import math
from collections.abc import Sequence

import jsonargparse
import pytest
import torch
from torch import Tensor, nn

from algorithms.errors import ConfigError
from algorithms.records import Prompt
from models.reward_model import PretrainedRewardModel
from rewards.preference_model import PreferenceReward, Scorer
from rewards.reward import Reward, RewardPart, WeightedReward
from tests.rewards.hand_made import completion, listed, prompt


class Letters(nn.Module):
    """Scores a text by ten times its prompt's uid plus its length, and refuses the word ``bad``."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.rand(1) * 0.0 + 1.0)
        self.seen: list[list[str]] = []

    def scores(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        self.seen.append(list(texts))
        if "bad" in texts:
            raise ValueError("cannot read this")
        return self.unit * torch.tensor([10.0 * p.uid + len(t) for p, t in zip(prompts, texts, strict=True)])


class LettersScorer:
    def __init__(self) -> None:
        self.built: list[Letters] = []

    def build(self) -> Letters:
        self.built.append(Letters())
        return self.built[-1]


def numbered(uid: int) -> Prompt:
    return Prompt(uid=uid, key=str(uid), question="What?")


def test_scores_come_back_in_the_order_of_the_completions() -> None:
    scorer = LettersScorer()
    reward: Reward = PreferenceReward(scorer, batch_size=3, device="cpu")
    texts = ["ccc", "a", "eeeee", "bb", "dddd"]
    scores = reward([numbered(uid) for uid in range(5)], [completion(text) for text in texts])
    assert list(scores) == [3.0, 11.0, 25.0, 32.0, 44.0]


def test_batches_hold_completions_of_similar_length() -> None:
    scorer = LettersScorer()
    reward = PreferenceReward(scorer, batch_size=2, device="cpu")
    reward([prompt(None)] * 5, [completion(text) for text in ("ccc", "a", "eeeee", "bb", "dddd")])
    assert scorer.built[0].seen == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]


def test_the_model_loads_once_and_only_when_it_is_needed() -> None:
    scorer = LettersScorer()
    reward = PreferenceReward(scorer, device="cpu")
    assert scorer.built == []
    for _ in range(2):
        reward([prompt(None)], [completion("a")])
    assert len(scorer.built) == 1


def test_the_model_only_judges_and_does_not_learn() -> None:
    scorer = LettersScorer()
    PreferenceReward(scorer, device="cpu")([prompt(None)], [completion("a")])
    assert not scorer.built[0].training
    assert not any(p.requires_grad for p in scorer.built[0].parameters())


def test_loading_does_not_touch_the_random_numbers_of_the_run() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    PreferenceReward(LettersScorer(), device="cpu")([prompt(None)], [completion("a")])
    assert torch.equal(torch.rand(1), expected)


def test_nothing_to_score_is_no_error() -> None:
    assert list(PreferenceReward(LettersScorer(), device="cpu")([], [])) == []


def test_a_completion_that_cannot_be_scored_costs_only_itself() -> None:
    part = RewardPart(PreferenceReward(LettersScorer(), batch_size=2, device="cpu"), weight=0.5, is_rule=True)
    table = WeightedReward({"preference": part})([prompt(None)] * 3, [completion(t) for t in ("aa", "bad", "aaaa")])
    assert listed(table.parts["preference"]) == [2.0, None, 4.0]
    assert listed(table.totals) == [1.0, None, 2.0]
    assert table.num_failures == {"preference": 1}


def test_a_score_that_is_no_number_counts_as_failed() -> None:
    scorer = LettersScorer()
    reward = PreferenceReward(scorer, device="cpu")
    reward([prompt(None)], [completion("a")])
    nn.init.constant_(scorer.built[0].unit, math.nan)
    table = WeightedReward({"preference": RewardPart(reward, is_rule=True)})([prompt(None)], [completion("a")])
    assert table.num_failures == {"preference": 1}


def test_a_batch_of_no_completions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size .* at least 1, got 0"):
        PreferenceReward(LettersScorer(), batch_size=0)


def test_a_config_names_the_reward_model() -> None:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--scorer", type=Scorer)
    config = parser.parse_object(
        {"scorer": {"class_path": "models.reward_model.PretrainedRewardModel", "init_args": {"path": "somewhere"}}}
    )
    assert isinstance(parser.instantiate(config).scorer, PretrainedRewardModel)
