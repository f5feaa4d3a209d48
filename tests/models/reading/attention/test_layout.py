"""Prompts and completions in one row: what lies where, and what is seen from where."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.masking_utils import causal_mask_function

from models.reading.attention import Layout, blocks, pack


def layout(prompt_lengths: list[int], prompts: list[int], lengths: list[int]) -> Layout:
    return pack(*(torch.tensor(numbers, dtype=torch.long) for numbers in (prompt_lengths, prompts, lengths)))


# Two prompts of 3 and 2 tokens; completions of 3 and 1 tokens behind the second, and of 2 behind the first.
SMALL = ([3, 2], [1, 1, 0], [3, 1, 2])


def test_every_prompt_is_there_once_and_completions_without_their_last_token() -> None:
    row = layout(*SMALL)
    assert row.owner.tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert row.branch.tolist() == [-1, -1, -1, -1, -1, 0, 0, 2]
    assert row.place.tolist() == [0, 1, 2, 0, 1, 2, 3, 3]


def test_a_token_is_predicted_by_the_one_before_it_and_the_first_by_the_end_of_the_prompt() -> None:
    assert layout(*SMALL).predictors.tolist() == [4, 5, 6, 4, 2, 7]


def test_positions_go_on_behind_the_largest_of_the_prompt_on_every_axis() -> None:
    is_prompt = torch.tensor([[True, True, True], [False, True, True]])
    # The first prompt ends with a picture, wider than high; padding holds any number.
    of_prompts = torch.tensor([[[0, 1, 1], [99, 0, 1]], [[0, 1, 1], [99, 0, 1]], [[0, 1, 5], [99, 0, 1]]])
    positions = layout(*SMALL).positions(of_prompts, is_prompt)
    assert positions.tolist() == [[0, 1, 1, 0, 1, 2, 3, 6], [0, 1, 1, 0, 1, 2, 3, 6], [0, 1, 5, 0, 1, 2, 3, 6]]


def test_a_completion_sees_its_prompt_and_itself_and_nothing_else() -> None:
    row = layout(*SMALL)
    index = torch.arange(8)
    seen = row.sees(causal_mask_function, index[:, None], index)
    assert [line.nonzero().squeeze(1).tolist() for line in seen] == [
        [0], [0, 1], [0, 1, 2], [3], [3, 4], [3, 4, 5], [3, 4, 5, 6], [0, 1, 2, 7],
    ]  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=8),
    st.sampled_from([0, 40, 2**18]),
)
def test_rectangles_hold_every_token_once_beside_its_prompt_and_give_the_row_back(
    prompt_lengths: list[int], completions: list[tuple[int, int]], few: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_FEW_SCORES", few)
        row = layout(prompt_lengths, [p % len(prompt_lengths) for p, _ in completions], [n for _, n in completions])
        cut = row.blocks
    tokens = torch.arange(len(row.place)).double().requires_grad_()
    places = cut.spread(tokens)
    assert torch.equal(cut.gather(places), tokens)
    weights = torch.arange(len(tokens)) + 1.0
    (cut.gather(places) * weights).sum().backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad, weights.double())
    pieces = iter(places.detach().long().split(cut.sizes))
    for block in cut.blocks:
        prompts = block[0]
        for rectangle in block:
            of_row = next(pieces).view(len(rectangle.lengths), rectangle.length)
            for i, (line, length) in enumerate(zip(of_row, rectangle.lengths.tolist(), strict=True)):
                assert row.place[line[:length]].diff().eq(1).all()
                prompt = i if rectangle.prompts is None else int(rectangle.prompts[i])
                assert row.place[line[0]] == (0 if rectangle.prompts is None else prompts.lengths[prompt])


def test_texts_of_very_different_length_are_attended_to_apart() -> None:
    row = layout([1000, 990, 8], [0, 2, 2, 1], [2000, 2000, 300, 1900])
    lengths = [[rectangle.lengths.tolist() for rectangle in block] for block in row.blocks.blocks]
    assert lengths == [[[1000, 990], [1999, 1899]], [[8], [1999], [299]]]
