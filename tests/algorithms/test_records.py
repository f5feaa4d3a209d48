"""Samples as batches: stacking, joining, selecting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.experience_batch import ExperienceBatch
from algorithms.records import Completion, Prompt
from tests.algorithms.hand_made import assert_equal_batches, batch, row, stacked

LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=5)


def of_lengths(lengths: list[int], first_uid: int = 0) -> ExperienceBatch:
    return stacked([row(first_uid + i, num_tokens=n) for i, n in enumerate(lengths)])


def test_stacking_pads_on_the_right_and_marks_what_was_sampled() -> None:
    found = stacked([row(1, num_tokens=3, advantage=0.5, version=7), row(2, num_tokens=1)])
    assert found.completion_ids.tolist() == [[101, 102, 103], [201, 0, 0]]
    assert found.is_completion.tolist() == [[True, True, True], [True, False, False]]
    assert found.behavior_logps.tolist() == [[-1.0625, -1.125, -1.1875], [-2.0625, 0.0, 0.0]]
    assert found.prompt_uids.tolist() == [1, 2]
    assert found.advantages.tolist() == [0.5, 1.0]
    assert found.policy_versions.tolist() == [7, 0]
    assert found.is_replay.tolist() == [False, False]


def test_token_zero_is_a_token_like_any_other() -> None:
    tokens, logps = torch.tensor([5, 0]), torch.tensor([-1.0, -2.0])
    completion = Completion(token_ids=tokens, behavior_logps=logps, text="", finish_reason="stop")
    found = stacked([row(0)._replace(completion=completion)])
    assert found.is_completion.tolist() == [[True, True]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(LENGTHS, LENGTHS)
def test_joining_batches_equals_stacking_all_their_samples(one: list[int], other: list[int]) -> None:
    joined = ExperienceBatch.cat([of_lengths(one), of_lengths(other, first_uid=len(one))])
    assert_equal_batches(joined, of_lengths(one + other))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(LENGTHS, st.data())
def test_selected_rows_equal_stacking_the_selected_samples(lengths: list[int], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    selected = of_lengths(lengths).rows(torch.tensor(index, dtype=torch.long))
    assert_equal_batches(selected, stacked([row(i, num_tokens=lengths[i]) for i in index]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(LENGTHS, LENGTHS)
def test_selecting_undoes_joining(one: list[int], other: list[int]) -> None:
    joined = ExperienceBatch.cat([of_lengths(one), of_lengths(other, first_uid=50)])
    assert_equal_batches(joined.rows(torch.arange(len(one))), of_lengths(one))
    assert_equal_batches(joined.rows(torch.arange(len(one), len(joined))), of_lengths(other, first_uid=50))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_a_mask_and_its_index_select_the_same_rows(keep: list[bool]) -> None:
    mask = torch.tensor(keep)
    whole = batch([1.0] * len(keep))
    assert_equal_batches(whole.rows(mask), whole.rows(mask.nonzero().flatten()))


def test_rows_are_cut_to_their_longest_completion() -> None:
    assert of_lengths([1, 4, 2]).rows(torch.tensor([2, 0])).completion_ids.shape == (2, 2)


def test_an_empty_batch_joins_without_a_trace() -> None:
    assert len(ExperienceBatch.empty()) == 0
    assert_equal_batches(ExperienceBatch.cat([ExperienceBatch.empty(), batch([1.0, -1.0])]), batch([1.0, -1.0]))


def test_state_rebuilds_the_batch() -> None:
    original = of_lengths([3, 0, 2])
    assert len(original.state_dict()["completion_ids"]) == 5  # no padding is kept
    assert_equal_batches(ExperienceBatch.from_state_dict(original.state_dict()), original)
    assert len(ExperienceBatch.from_state_dict(ExperienceBatch.empty().state_dict())) == 0


def test_selecting_does_not_touch_the_original() -> None:
    whole = batch([1.0, 2.0])
    whole.rows(torch.tensor([0])).advantages.fill_(9.0)
    assert whole.advantages.tolist() == [1.0, 2.0]


def test_records_cannot_be_changed() -> None:
    prompt = Prompt(uid=0, key="a", question="How many?")
    with pytest.raises(AttributeError):
        prompt.uid = 1  # type: ignore[misc]


def test_two_prompts_with_the_same_text_stay_two() -> None:
    one, other = (Prompt(uid=uid, key="a", question="How many?") for uid in (0, 1))
    assert one != other
    assert one.columns is not other.columns
