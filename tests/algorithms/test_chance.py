"""Draws that depend on where in the run they happen and on nothing else."""

import itertools

import torch

from algorithms.chance import position_generator, position_seed


def test_a_seed_is_the_same_in_every_process_and_version() -> None:
    assert position_seed(0, "prompt order") == 7464951419624207944
    assert position_seed(1, "prompt order", 2, 3) == 8867292403061136137


def test_every_argument_matters() -> None:
    positions = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", 0, 1), (0, "a", 1, 0), (0, "a", 10)]
    seeds = [position_seed(*position) for position in positions]
    assert len(set(seeds)) == len(positions)


def test_counters_that_read_alike_when_joined_differ() -> None:
    assert position_seed(0, "a", 1, 11) != position_seed(0, "a", 11, 1)
    assert position_seed(1, "1") != position_seed(11, "")


def test_seeds_fit_what_torch_and_numpy_accept() -> None:
    seeds = [position_seed(seed, "a", counter) for seed, counter in itertools.product((-1, 0, 2**40), range(50))]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_draw_can_be_repeated_without_any_saved_state() -> None:
    first, again, next_one = (torch.rand(4, generator=position_generator(0, "a", i)) for i in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, next_one)


def test_drawing_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    torch.rand(4, generator=position_generator(0, "a"))
    assert torch.equal(torch.random.get_rng_state(), before)
