"""A suggestion is what was meant, or there is none."""

import pytest

from cli.keys.nearest import did_you_mean, nearest

KNOWN = ["group_size", "temperature", "max_new_tokens", "clip_low", "clip_high"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("grop_size", "group_size"), ("groupsize", "group_size"), ("group-size", "group_size"),
        ("GROUP_SIZE", "group_size"), ("temp", "temperature"), ("clip_hi", "clip_high"),
        ("maxnewtokens", "max_new_tokens"),
    ],
)  # fmt: skip
def test_slips_lead_to_the_name(typed: str, meant: str) -> None:
    assert nearest(typed, KNOWN) == meant


@pytest.mark.parametrize("typed", ["", "x", "optimizer", "zzz"])
def test_what_is_like_nothing_gets_a_list_and_no_guess(typed: str) -> None:
    assert nearest(typed, KNOWN) is None
    assert did_you_mean(typed, KNOWN) == f"known: {', '.join(KNOWN)}."


def test_a_long_list_is_cut_and_counted() -> None:
    names = [f"name{number}" for number in range(40)]
    assert did_you_mean("optimizer", names).endswith("name10 and 29 more.")
    assert did_you_mean("optimizer", []) == ""
