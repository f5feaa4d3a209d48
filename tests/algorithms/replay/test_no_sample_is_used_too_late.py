"""Samples are placed into the micro-batches of a rollout in time."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.replay.placement import placed_in_time


def placed(last_step: list[int], num_steps: int, parts_per_step: int) -> list[list[int]]:
    order = torch.randperm(len(last_step), generator=torch.Generator().manual_seed(len(last_step)))
    parts = placed_in_time(
        order, torch.tensor(last_step, dtype=torch.long), num_parts=num_steps * parts_per_step,
        parts_per_step=parts_per_step,
    )  # fmt: skip
    return [part.tolist() for part in parts]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5), max_size=24), st.integers(1, 5), st.integers(1, 3))
def test_none_comes_twice_or_too_late_and_none_is_left_out_without_need(
    last_step: list[int], num_steps: int, parts_per_step: int
) -> None:
    parts = placed(last_step, num_steps, parts_per_step)
    used = [number for part in parts for number in part]
    assert len(parts) == num_steps * parts_per_step
    assert len(set(used)) == len(used)
    assert all(last_step[number] >= i // parts_per_step for i, part in enumerate(parts) for number in part)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    # One that no step rules out is always used.
    assert {number for number, last in enumerate(last_step) if last >= num_steps - 1} <= set(used)


def test_without_limits_samples_are_split_in_their_order() -> None:
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    parts = placed_in_time(order, torch.full((11,), 4), num_parts=4, parts_per_step=1)
    assert [p.tolist() for p in parts] == [p.tolist() for p in order.tensor_split(4)]


def test_samples_due_early_take_the_place_of_others_there() -> None:
    parts = placed([0, 0, 9, 9, 9, 9, 9, 9], 4, 1)
    assert sorted(parts[0]) == [0, 1]
    assert [len(part) for part in parts] == [2, 2, 2, 2]


def test_more_due_early_than_have_room_are_left_out_and_micro_batches_stay_equal() -> None:
    parts = placed([0] * 8 + [9] * 6, 4, 1)
    assert [len(part) for part in parts] == [3, 2, 2, 2]
    assert set(parts[1] + parts[2] + parts[3]) == set(range(8, 14))
