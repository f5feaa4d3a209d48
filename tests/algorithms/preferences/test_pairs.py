"""Which pairs a scored group gives, and which of them are learned from."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from algorithms.preferences.pairs import PairSelection, group_pairs, select_pairs
from algorithms.records import Completion, FinishReason, PreferencePair, Prompt, RolloutGroup

Sample = tuple[Completion, dict[str, float | None]]


def sample(text: str, finish: FinishReason = "stop", **parts: float | None) -> Sample:
    ids = torch.zeros(1, dtype=torch.long)
    return Completion(token_ids=ids, behavior_logps=torch.zeros(1), text=text, finish_reason=finish), parts


def group(*samples: Sample, uid: int = 0) -> RolloutGroup:
    names = dict.fromkeys(name for _, parts in samples for name in parts)
    scores = {name: [math.nan if parts.get(name) is None else parts[name] for _, parts in samples] for name in names}
    return RolloutGroup(
        prompt=Prompt(uid=uid, key=str(uid), question="?"),
        completions=[completion for completion, _ in samples],
        parts={name: torch.tensor(of_part, dtype=torch.double) for name, of_part in scores.items()},
        rewards=torch.zeros(len(samples)),
        advantages=torch.zeros(len(samples)),
    )


def told(pairs: list[PreferencePair]) -> set[tuple[str, str, str]]:
    return {(pair.kind, pair.chosen, pair.rejected) for pair in pairs}


def scored_pair(margin: float, *, chosen: str = "a", rejected: str = "b", uid: int = 0, kind: str = "reward_model"):
    prompt = Prompt(uid=uid, key=str(uid), question="?")
    return PreferencePair(
        uid=0, prompt=prompt, chosen=chosen, rejected=rejected, kind=kind, chosen_score=margin, rejected_score=0.0
    )


def test_a_right_completion_is_chosen_over_a_wrong_one_and_never_over_one_nobody_could_judge() -> None:
    pairs = group_pairs(group(sample("r", accuracy=1.0), sample("w", accuracy=0.0), sample("?", accuracy=None)))
    assert told(pairs) == {("correctness", "r", "w")}


def test_of_two_right_completions_the_well_formed_one_is_chosen() -> None:
    good, bad = sample("good", accuracy=1.0, format=1.0), sample("bad", accuracy=1.0, format=0.0)
    wrong = sample("wrong", accuracy=0.0, format=0.0)
    kinds = told(group_pairs(group(good, bad, wrong)))
    assert {triple for triple in kinds if triple[0] == "format"} == {("format", "good", "bad")}


def test_the_higher_score_is_chosen_whatever_the_rules_say_and_equal_scores_make_no_pair() -> None:
    low, high, same = sample("low", preference=-1.0), sample("high", preference=2.5), sample("same", preference=2.5)
    pairs = group_pairs(group(low, high, same))
    assert told(pairs) == {("reward_model", "high", "low"), ("reward_model", "same", "low")}
    assert [pair.margin for pair in pairs] == [3.5, 3.5]


def test_a_cut_completion_is_never_chosen_and_is_rejected_without_an_end() -> None:
    cut, whole = sample("cut", "length", preference=9.0), sample("whole", preference=1.0)
    assert group_pairs(group(cut, whole)) == []
    (pair,) = group_pairs(group(sample("cut", "length", preference=0.0), whole))
    assert (pair.chosen, pair.rejected, pair.rejected_ended) == ("whole", "cut", False)


def test_equal_texts_make_no_pair_even_when_their_scores_differ() -> None:
    assert group_pairs(group(sample("x", accuracy=1.0), sample("x", accuracy=0.0))) == []


@pytest.mark.parametrize("other", ["", " \n", " x "])
def test_no_pair_is_made_that_a_file_of_pairs_would_refuse(other: str) -> None:
    for right, wrong in (("x", other), (other, "x")):
        assert group_pairs(group(sample(right, accuracy=1.0), sample(wrong, accuracy=0.0))) == []


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(-5, 5))
def test_just_the_pairs_with_a_margin_of_at_least_the_threshold_are_kept(margins: list[float], tau: float) -> None:
    pairs = [scored_pair(margin, chosen=str(i)) for i, margin in enumerate(margins)]
    kept = select_pairs(pairs, PairSelection(threshold=tau, max_per_prompt=99), seed=0)
    assert [pair.margin for pair in kept] == [margin for margin in margins if margin >= tau]
    assert [pair.uid for pair in kept] == list(range(len(kept)))


@given(st.lists(st.floats(0, 5), min_size=1, max_size=20, unique=True), st.floats(0.01, 1.0))
def test_a_top_share_keeps_the_pairs_with_the_largest_margins(margins: list[float], share: float) -> None:
    pairs = [scored_pair(margin, chosen=str(i)) for i, margin in enumerate(margins)]
    kept = select_pairs(pairs, PairSelection(top_share=share, max_per_prompt=99), seed=0)
    largest = sorted(margins)[-max(1, round(share * len(margins))) :]
    assert sorted(pair.margin or 0.0 for pair in kept) == largest
    # Another unit of the score leaves the same pairs; a power of two rounds nothing.
    in_other_unit = [scored_pair(1024.0 * margin, chosen=str(i)) for i, margin in enumerate(margins)]
    again = select_pairs(in_other_unit, PairSelection(top_share=share, max_per_prompt=99), seed=0)
    assert [pair.chosen for pair in again] == [pair.chosen for pair in kept]


def test_a_top_share_counts_scored_pairs_of_wanted_kinds_only() -> None:
    scored = [scored_pair(float(i), chosen=str(i), kind="given") for i in range(10)]
    others = [scored_pair(9.0, chosen=f"r{i}", kind="reward_model") for i in range(50)]
    unscored = [replace(scored_pair(0.0, chosen="u", kind="given"), chosen_score=None)]
    selection = PairSelection(top_share=0.3, kinds=("given",), max_per_prompt=99)
    kept = select_pairs(scored + others + unscored, selection, seed=0)
    assert [pair.chosen for pair in kept] == ["7", "8", "9", "u"]
    assert select_pairs(unscored, selection, seed=0)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"top_share": 0.0}, r"selection.top_share must lie in \(0, 1\], got 0.0"),
        ({"top_share": 1.5}, "got 1.5"),
        ({"top_share": 0.5, "threshold": 2.0}, "selection.top_share is 0.5, and the threshold beside it 2.0: set one"),
    ],
)
def test_a_share_that_is_none_or_stands_beside_a_threshold_is_refused(settings, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        PairSelection(**settings)


def test_the_threshold_can_be_on_the_chosen_score() -> None:
    pair = replace(scored_pair(0.0), chosen_score=3.0, rejected_score=2.5)
    assert PairSelection(threshold=2.0, by="chosen_score").keeps(pair)
    assert not PairSelection(threshold=2.0, by="margin").keeps(pair)


def test_the_threshold_is_for_pairs_of_the_reward_model_only() -> None:
    selection = PairSelection(threshold=100.0)
    assert selection.keeps(scored_pair(0.0, kind="correctness"))
    assert not selection.keeps(scored_pair(0.0))


def test_a_pair_of_the_reward_model_without_scores_does_not_reach_a_threshold() -> None:
    pair = replace(scored_pair(0.0), chosen_score=None)
    assert not PairSelection(threshold=-100.0).keeps(pair)
    assert PairSelection().keeps(pair)


def test_only_wanted_kinds_are_kept() -> None:
    selection = PairSelection(kinds=("format", "given"))
    assert [selection.keeps(scored_pair(1.0, kind=kind)) for kind in ("format", "given", "correctness")] == [
        True, True, False,
    ]  # fmt: skip


def test_the_same_two_texts_of_a_prompt_are_one_pair_whatever_the_kind() -> None:
    pairs = [scored_pair(1.0), scored_pair(1.0, kind="correctness"), scored_pair(1.0, uid=1)]
    assert len(select_pairs(pairs, PairSelection(), seed=0)) == 2


def test_at_most_k_pairs_of_a_prompt_are_kept_and_the_draw_of_one_prompt_leaves_others_alone() -> None:
    many = [scored_pair(1.0, chosen=str(i), uid=uid) for uid in (0, 1) for i in range(20)]
    kept = select_pairs(many, PairSelection(max_per_prompt=3), seed=5)
    assert [pair.prompt.uid for pair in kept] == [0] * 3 + [1] * 3
    alone = select_pairs(many[20:], PairSelection(max_per_prompt=3), seed=5)
    assert [pair.chosen for pair in alone] == [pair.chosen for pair in kept[3:]]
    assert [p.chosen for p in select_pairs(many, PairSelection(max_per_prompt=3), seed=6)] != [p.chosen for p in kept]


def test_given_pairs_reach_the_threshold_by_their_scores_if_they_have_any() -> None:
    selection = PairSelection(threshold=2.0)
    assert selection.keeps(scored_pair(3.0, kind="given"))
    assert not selection.keeps(scored_pair(1.0, kind="given"))
    assert selection.keeps(replace(scored_pair(1.0, kind="given"), chosen_score=None))


def test_less_than_one_pair_per_prompt_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"selection.max_per_prompt must be at least 1, got 0"):
        PairSelection(max_per_prompt=0)


@pytest.mark.parametrize(
    ("kinds", "parts", "complaint"),
    [
        (("correct",), ("accuracy", "preference"), "may hold correctness, format, .* got correct"),
        (("reward_model",), ("accuracy",), "model.reward.parts has no 'preference' .* only accuracy"),
        ((), ("accuracy",), "model.reward.parts has no 'preference'"),
    ],
)
def test_kinds_that_rollouts_cannot_give_are_refused(kinds, parts, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        PairSelection(kinds=kinds).check_buildable("preference", parts)
