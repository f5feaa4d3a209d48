"""Scaling, gates, rules and what moves: the parts of the hybrid reward beyond a weighted sum."""

import math
from collections.abc import Sequence

import pytest
import torch

from algorithms.errors import ConfigError
from rewards import Cap, FunctionReward, OverlongReward, RewardPart, RunningZScore, Squash, WeightedReward
from tests.rewards.hand_made import completion, listed, prompt


class Given:
    """Returns scores given beforehand."""

    def __init__(self, *scores: float | None) -> None:
        self.scores = scores

    def __call__(self, prompts: Sequence, completions: Sequence) -> list[float | None]:
        return list(self.scores[: len(completions)])


def score(*, is_training: bool = False, num: int = 3, **parts: RewardPart):
    one_rank = (lambda sums: sums) if is_training else None
    # Of different prompts: None for one of them then means that the part does not apply to it.
    prompts = [prompt(uid=uid) for uid in range(num)]
    return WeightedReward(parts)(prompts, [completion("x")] * num, sum_over_ranks=one_rank)


def test_with_plain_parts_the_total_is_the_paper_s_sum() -> None:
    table = score(rule=RewardPart(Given(1.0, 0.0, 1.0)), taste=RewardPart(Given(5.5, 7.0, -2.0)))
    assert table.totals.tolist() == [6.5, 7.0, -1.0]


def test_a_gate_lets_a_part_count_only_where_another_is_above_zero() -> None:
    accuracy, taste = RewardPart(Given(1.0, 0.0, None)), RewardPart(Given(5.0, 7.0, 3.0), weight=0.1, gate="accuracy")
    table = score(accuracy=accuracy, taste=taste)
    assert table.totals.tolist() == pytest.approx([1.5, 0.0, 0.0])
    assert listed(table.parts["taste"]) == [5.0, 7.0, 3.0]  # logged as it came


def test_a_gate_must_name_a_part() -> None:
    with pytest.raises(ConfigError, match=r"parts\.taste\.gate must be null or the name of a part, got 'acuracy'"):
        WeightedReward({"accuracy": RewardPart(Given()), "taste": RewardPart(Given(), gate="acuracy")})


def test_only_rules_decide_what_is_effective() -> None:
    table = score(accuracy=RewardPart(Given(1.0, 1.0, 0.0)), taste=RewardPart(Given(0.3, 0.1, 0.2), is_rule=False))
    assert table.rule_totals.tolist() == [1.0, 1.0, 0.0]
    assert table.totals.tolist() == pytest.approx([1.3, 1.1, 0.2])


def test_without_any_rule_nothing_could_be_effective() -> None:
    with pytest.raises(ConfigError, match=r"is_rule: no part decides which groups are effective"):
        WeightedReward({"taste": RewardPart(Given(), is_rule=False)})


def test_a_running_z_score_includes_the_scores_at_hand_and_remembers_all_before() -> None:
    scaling = RunningZScore(eps=0.0)
    score(taste=RewardPart(Given(1.0, 2.0, 3.0), scaling=scaling), is_training=True)
    table = score(taste=RewardPart(Given(4.0, None, 6.0), scaling=scaling), is_training=True)
    seen = torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0])
    expected = ((seen - seen.mean()) / seen.std(correction=0)).tolist()
    assert table.totals.tolist() == pytest.approx([expected[3], 0.0, expected[4]])


def test_evaluation_leaves_running_statistics_alone() -> None:
    scaling = RunningZScore()
    score(taste=RewardPart(Given(1.0, 2.0, 3.0), scaling=scaling))
    assert scaling.moments.tolist() == [0.0, 0.0, 0.0]


def test_a_z_score_over_two_ranks_is_that_of_all_scores() -> None:
    ranks, whole = [[1.0, 5.0], [2.0, 9.0, -3.0]], RunningZScore()
    whole.observe([*ranks[0], *ranks[1]], lambda sums: sums)
    one, other = RunningZScore(), RunningZScore()
    sums = []
    for scores in ranks:
        RunningZScore().observe(scores, lambda s: sums.append(s) or s)
    for scaling, scores in zip((one, other), ranks, strict=True):
        scaling.observe(scores, lambda _: sums[0] + sums[1])
    assert one(3.0) == other(3.0) == pytest.approx(whole(3.0))


def test_squash_is_a_sigmoid_that_no_score_can_overflow() -> None:
    squash = Squash(center=2.0, width=4.0)
    assert squash(2.0) == 0.5
    assert squash(6.0) == pytest.approx(1.0 / (1.0 + math.exp(-1.0)))
    assert (squash(-1e9), squash(1e9)) == (0.0, 1.0)


def test_a_cap_bounds_scores_and_can_be_moved_and_saved() -> None:
    cap = Cap(high=2.0, low=-1.0)
    reward = WeightedReward({"rule": RewardPart(Given()), "taste": RewardPart(Given(), scaling=cap, is_rule=False)})
    assert [cap(s) for s in (-5.0, 0.0, 5.0)] == [-1.0, 0.0, 2.0]
    cap.move(0.5)
    reward.set_weight("taste", 0.25)
    state = reward.state_dict()
    cap.move(9.0)
    reward.set_weight("taste", 9.0)
    reward.load_state_dict(state)
    assert (cap(5.0), reward.weights["taste"]) == (0.5, 0.25)


def test_a_function_with_the_signature_of_trl_gets_texts_and_columns() -> None:
    def shorter_than(prompts, completions, limit, **columns):
        assert columns["answer"] == ["3", "3"]
        assert prompts == ["How many?"] * 2
        return [None if n is None else float(len(c) < n) for c, n in zip(completions, limit, strict=True)]

    rows = [prompt(question="How many?", answer="3", columns={"limit": n}) for n in (4, None)]
    assert FunctionReward(shorter_than)(rows, [completion("one"), completion("two")]) == [1.0, None]


def test_a_function_for_chats_gets_messages_as_trl_gives_them() -> None:
    def spoken(completions):
        return [float(c[0]["role"] == "assistant") + len(c[0]["content"]) for c in completions]

    assert FunctionReward(spoken, conversational=True)([prompt()], [completion("abc")]) == [4.0]


def test_images_are_opened_only_for_functions_that_name_them_and_once_per_prompt() -> None:
    class Counted:
        opened = 0

        def load(self):
            Counted.opened += 1
            return "picture"

    rows = [prompt(images=(Counted(),))] * 3
    texts = [completion("a")] * 3
    assert list(FunctionReward(lambda completions, **columns: [0.0 for _ in completions])(rows, texts)) == [0.0] * 3
    assert Counted.opened == 0
    assert list(FunctionReward(lambda images: [float(i == ["picture"]) for i in images])(rows, texts)) == [1.0] * 3
    assert Counted.opened == 1


def test_the_overlong_reward_looks_at_tokens() -> None:
    reward = OverlongReward(max_tokens=10, soft_tokens=4)
    assert list(reward([prompt()] * 3, [completion("x", num_tokens=n) for n in (6, 8, 12)])) == [0.0, -0.5, -1.0]
    with pytest.raises(ConfigError, match="soft_tokens of the overlong reward must lie between 1 and max_tokens = 3"):
        OverlongReward(max_tokens=3, soft_tokens=4)


def test_a_reward_declares_whether_it_is_a_rule_and_the_config_has_the_last_word() -> None:
    class Taste(Given):
        is_rule = False

    def plain(prompts, completions):
        return [1.0] * len(completions)

    assert RewardPart(plain).decides_effectiveness
    assert RewardPart(Given()).decides_effectiveness
    assert not RewardPart(Taste()).decides_effectiveness
    assert RewardPart(Taste(), is_rule=True).decides_effectiveness
    assert not RewardPart(Given(), is_rule=False).decides_effectiveness
