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
from algorithms.experience_batch import ExperienceBatch
from algorithms.replay.buffer import SelectiveSampleBuffer
from algorithms.replay.config import BufferConfig
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
        original = added.rows(drawn.prompt_uids[row : row + 1]).columns()
        replayed = drawn.rows(torch.tensor([row])).columns()
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
    assert state["rows"]["prompt_uids"].tolist() == [0, 1]


def test_a_sample_may_be_drawn_up_to_its_last_day() -> None:
    buffer = filled([1.0], max_age=2)
    assert buffer.forget_stale(2) == 0
    assert buffer.forget_stale(3) == 1


def test_capacity_zero_counts_samples_but_keeps_none() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=0))
    assert buffer.add(batch([1.0, 0.0, -1.0])) == 2
    assert len(buffer) == 0


@pytest.mark.parametrize(
    "wrong", [{"capacity": -1}, {"max_age": 0}, {"priority_exponent": -0.5}, {"correction_exponent": -1.0}]
)
def test_a_setting_out_of_range_is_refused_by_its_full_name(wrong: dict[str, Any]) -> None:
    ((key, value),) = wrong.items()
    with pytest.raises(ConfigError, match=rf"data\.buffer\.{key} must be at least .*got {value}"):
        BufferConfig(**wrong)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(STEP, max_size=12), st.integers(1, 6), st.integers(0, 11))
def test_saving_and_loading_between_any_two_steps_changes_nothing(steps, capacity: int, saved_after: int) -> None:
    straight = SelectiveSampleBuffer(BufferConfig(capacity=capacity, max_age=2))
    resumed = SelectiveSampleBuffer(BufferConfig(capacity=capacity, max_age=2))
    version = 0
    for counter, (action, argument) in enumerate(steps):
        for buffer in (straight, resumed):
            if action == "add":
                buffer.add(batch(argument, first_uid=10 * counter, version=version))
            elif action == "forget":
                buffer.forget_stale(version + argument)
        version += argument if action == "forget" else 0
        if counter == saved_after:
            state = straight.state_dict()
            resumed = SelectiveSampleBuffer(straight.config)
            resumed.load_state_dict(state)
        if action == "draw":
            one, other = (b.draw(argument, generator=generator(counter)) for b in (straight, resumed))
            assert_equal_batches(one, other)
    assert_equal_batches(straight.stored, resumed.stored)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.lists(ADVANTAGE, max_size=6), max_size=6), st.integers(1, 5))
def test_evicting_by_priority_keeps_the_largest_advantages_and_of_equal_ones_the_newest(adds, capacity: int) -> None:
    buffer, expected = SelectiveSampleBuffer(BufferConfig(capacity=capacity, evict="lowest_priority")), []
    for number, advantages in enumerate(adds):
        buffer.add(batch(advantages, first_uid=10 * number))
        expected += [(10 * number + i, a) for i, a in enumerate(advantages) if a != 0.0]
        expected = sorted(expected, key=lambda s: (abs(s[1]), s[0]), reverse=True)[:capacity]
    stored = buffer.stored
    assert sorted(stored.prompt_uids.tolist()) == sorted(uid for uid, _ in expected)


def test_the_samples_of_a_retired_prompt_leave() -> None:
    buffer = filled([1.0, -1.0, 2.0, -2.0])
    assert buffer.retire(torch.tensor([1, 2, 77])) == 2
    assert buffer.stored.prompt_uids.tolist() == [0, 3]
    assert sorted(buffer.draw(9, generator=generator()).prompt_uids.tolist()) == [0, 3]


def test_siblings_can_be_told_by_their_group() -> None:
    drawn = filled([1.0, -1.0, 2.0]).draw(3, generator=generator())
    assert sorted(drawn.group_ids.tolist()) == [0, 0, 1]


@pytest.mark.long
def test_the_full_correction_makes_the_mean_over_draws_that_over_the_buffer() -> None:
    advantages = [0.25, 1.0, -4.0, 2.0]
    buffer = filled(advantages, correction_exponent=1.0)
    one_generator = generator()
    drawn = ExperienceBatch.cat([buffer.draw(1, generator=one_generator) for _ in range(3000)])
    values = drawn.weights * drawn.advantages  # any function of the sample
    assert abs(values.mean().item() - sum(advantages) / 4) < 5.0 * values.std().item() / math.sqrt(3000)
    assert filled(advantages).draw(4, generator=generator()).weights.tolist() == [1.0] * 4


def test_engine_log_probs_travel_with_their_sample() -> None:
    added = batch([1.0, -1.0])
    added = added.with_columns(engine_logps=0.5 * added.behavior_logps)
    buffer = SelectiveSampleBuffer(BufferConfig())
    buffer.add(added)
    assert_equal_batches(buffer.stored, added)
    copy = SelectiveSampleBuffer(BufferConfig())
    copy.load_state_dict(buffer.state_dict())
    assert_equal_batches(copy.stored, added)


def test_a_longer_completion_widens_the_store_without_touching_the_others() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=4))
    short, long = batch([1.0]), batch([1.0, 2.0, 3.0], first_uid=5)
    buffer.add(short)
    buffer.add(long)
    assert_equal_batches(buffer.stored, ExperienceBatch.cat([short, long]))


def test_a_slot_that_is_used_again_holds_nothing_of_the_longer_completion_before() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=1))
    buffer.add(batch([1.0, 1.0, 1.0]).rows(torch.tensor([2])))
    buffer.add(batch([1.0], first_uid=9))
    assert_equal_batches(buffer.stored, batch([1.0], first_uid=9))


def test_memory_is_what_the_docstring_says() -> None:
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=1024))
    rows = batch([1.0] * 3)
    wide = torch.nn.functional.pad(rows.completion_ids, (0, 97))
    is_completion = torch.ones(3, 100, dtype=torch.bool)
    buffer.add(rows.with_columns(
        completion_ids=wide, is_completion=is_completion, behavior_logps=torch.zeros(3, 100)
    ))  # fmt: skip
    assert buffer.num_bytes / 1024 == pytest.approx(9 * 100 + 70, abs=15)


def test_a_checkpoint_of_a_larger_buffer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.buffer\.capacity is 2, but the checkpoint holds"):
        SelectiveSampleBuffer(BufferConfig(capacity=2)).load_state_dict(filled([1.0, 2.0, 3.0]).state_dict())


def test_replay_fills_the_gap_or_makes_a_fixed_share_of_the_batch() -> None:
    gap, share = BufferConfig(), BufferConfig(replay_share=0.25)
    assert gap.num_replay(num_fresh=8, num_effective=3) == 5
    assert share.num_replay(num_fresh=8, num_effective=6) == 2
    assert (gap.full_batch(8), share.full_batch(6)) == (8.0, 8.0)
