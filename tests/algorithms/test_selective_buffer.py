"""The Selective Sample Buffer."""

import io
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.chance import position_generator
from algorithms.errors import ConfigError
from algorithms.selective_buffer import BufferConfig, SelectiveSampleBuffer
from tests.algorithms.hand_made import assert_equal_batches, batch

ADVANTAGE = st.sampled_from([0.0, 0.0, -1.5, -0.5, 0.5, 1.0])
STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(ADVANTAGE, max_size=5)),
    st.tuples(st.just("draw"), st.integers(0, 8)),
    st.tuples(st.just("forget"), st.integers(1, 3)),
)


def filled(advantages: list[float], **settings_of_buffer: Any) -> SelectiveSampleBuffer:
    buffer = SelectiveSampleBuffer(BufferConfig(**settings_of_buffer))
    buffer.add(batch(advantages))
    return buffer


def generator(counter: int = 0) -> torch.Generator:
    return position_generator(0, "test", counter)


class ListOfSamples:
    """The buffer as anybody would write it with a list of (uid, advantage, version)."""

    def __init__(self, capacity: int, max_age: int) -> None:
        self.capacity, self.max_age = capacity, max_age
        self.samples: list[tuple[int, float, int]] = []

    def add(self, first_uid: int, advantages: list[float], version: int) -> int:
        new = [(first_uid + i, a, version) for i, a in enumerate(advantages) if a != 0.0]
        self.samples = (self.samples + new)[max(0, len(self.samples) + len(new) - self.capacity) :]
        return len(new)

    def forget(self, version: int) -> int:
        before = len(self.samples)
        self.samples = [s for s in self.samples if version - s[2] <= self.max_age]
        return before - len(self.samples)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(STEP, max_size=12), st.integers(0, 6), st.integers(1, 3))
def test_any_sequence_of_steps_matches_a_plain_list(steps: list[tuple[str, Any]], capacity: int, max_age: int) -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=capacity, max_age=max_age))
    expected, version, next_uid = ListOfSamples(capacity, max_age), 0, 0
    for counter, (action, argument) in enumerate(steps):
        if action == "add":
            added = buffer.add(batch(argument, first_uid=next_uid, version=version))
            assert added == expected.add(next_uid, argument, version)
            next_uid += len(argument)
        elif action == "forget":
            version += argument
            assert buffer.forget_stale(version) == expected.forget(version)
            assert all(version - age <= max_age for age in buffer.stored.policy_versions.tolist())
        else:
            drawn = buffer.draw(argument, generator=generator(counter))
            uids = drawn.prompt_uids.tolist()
            assert len(set(uids)) == len(uids) == min(argument, len(expected.samples))
            assert drawn.is_replay.all()
        stored = buffer.stored
        rows = (stored.prompt_uids.tolist(), stored.advantages.tolist(), stored.policy_versions.tolist())
        assert list(zip(*rows, strict=True)) == expected.samples
        assert 0.0 not in rows[1]
        assert len(buffer) <= capacity


def test_a_drawn_sample_is_the_one_that_was_stored() -> None:
    added = batch([1.0, 0.0, -2.0, 0.5, 0.25], version=3)
    buffer = SelectiveSampleBuffer(BufferConfig())
    buffer.add(added)
    drawn = buffer.draw(3, generator=generator())
    for row in range(3):
        original = added.rows(drawn.prompt_uids[row : row + 1]).state_dict()
        replayed = drawn.rows(torch.tensor([row])).state_dict()
        assert replayed.pop("is_replay").item()
        assert not original.pop("is_replay").item()
        assert all(torch.equal(replayed[name], original[name]) for name in original)


def test_drawing_leaves_the_samples_where_they_are() -> None:
    buffer = filled([1.0, 2.0, 3.0])
    buffer.draw(2, generator=generator())
    assert buffer.stored.prompt_uids.tolist() == [0, 1, 2]
    assert not buffer.stored.is_replay.any()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_draw_frequencies_follow_the_power_of_the_advantage(exponent: float) -> None:
    advantages, num_draws = [-0.25, 1.0, -4.0], 1500
    buffer = filled(advantages, priority_exponent=exponent)
    one_generator = generator()
    uids = torch.cat([buffer.draw(1, generator=one_generator).prompt_uids for _ in range(num_draws)])
    weights = [abs(a) ** exponent for a in advantages]
    for uid, weight in enumerate(weights):
        share = weight / sum(weights)
        five_sigma = 5.0 * math.sqrt(share * (1.0 - share) / num_draws)
        assert abs((uids == uid).float().mean().item() - share) < five_sigma


def test_the_same_generator_draws_the_same_samples() -> None:
    buffer = filled([1.0] * 20)
    first, again, other = (buffer.draw(8, generator=generator(counter)) for counter in (0, 0, 1))
    assert_equal_batches(first, again)
    assert first.prompt_uids.tolist() != other.prompt_uids.tolist()


def test_saving_and_loading_changes_nothing() -> None:
    buffer = filled([1.0, 0.0, -2.0, 0.5])
    file = io.BytesIO()
    torch.save(buffer.state_dict(), file)
    file.seek(0)
    copy = SelectiveSampleBuffer(buffer.config)
    copy.load_state_dict(torch.load(file, weights_only=True))
    for one in (buffer, copy):
        one.add(batch([0.25, -0.25], first_uid=10, version=1))
    assert_equal_batches(copy.stored, buffer.stored)
    assert_equal_batches(copy.draw(3, generator=generator()), buffer.draw(3, generator=generator()))


def test_an_empty_buffer_can_be_saved_loaded_and_drawn_from() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig())
    buffer.load_state_dict(SelectiveSampleBuffer(BufferConfig()).state_dict())
    assert len(buffer) == len(buffer.draw(4, generator=generator())) == buffer.forget_stale(9) == 0
    assert buffer.add(batch([1.0])) == len(buffer) == 1


def test_a_saved_state_does_not_change_when_the_buffer_does() -> None:
    buffer = filled([1.0, 2.0])
    state = buffer.state_dict()
    buffer.add(batch([3.0], first_uid=2))
    assert state["prompt_uids"].tolist() == [0, 1]


def test_a_sample_may_be_drawn_up_to_its_last_day() -> None:
    buffer = filled([1.0], max_age=2)
    assert buffer.forget_stale(2) == 0
    assert buffer.forget_stale(3) == 1


def test_capacity_zero_counts_samples_but_keeps_none() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=0))
    assert buffer.add(batch([1.0, 0.0, -1.0])) == 2
    assert len(buffer) == 0


@pytest.mark.parametrize("wrong", [{"capacity": -1}, {"max_age": 0}, {"priority_exponent": -0.5}])
def test_a_setting_out_of_range_is_refused_by_its_full_name(wrong: dict[str, Any]) -> None:
    ((key, value),) = wrong.items()
    with pytest.raises(ConfigError, match=rf"data\.buffer\.{key} must be at least .*got {value}"):
        BufferConfig(**wrong)
