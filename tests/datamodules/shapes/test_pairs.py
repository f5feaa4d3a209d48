"""Pairs drawn by rule: the honest ones, and those that teach a reward model a known fault."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from algorithms import Completion, ConfigError, Prompt
from datamodules import ShapesPairs
from datamodules.shapes.folders import ShapesDrawing
from datamodules.shapes.language import CLAIM_GRAMMAR, LEVELS, WORDS
from datamodules.shapes.pairs import MAX_EXTRA
from datamodules.shapes.scene import THINGS, matches
from hallucination import find_claims
from rewards import FormatReward
from rewards.answers import read_answer

NUM_PAIRS = 400


def rows(**settings: Any) -> list[dict[str, Any]]:
    source = ShapesPairs(num_train=NUM_PAIRS, **settings)
    return [row for row, _ in source.drawn.rows("train")]


def listings(text: str) -> list[tuple[str, list[str], int]]:
    """Return target, listed things and count of each clause that lists."""
    words, found = text.split(), []
    for place, word in enumerate(words):
        if word == "look":
            end = words.index("=", place)
            listed = [thing for thing in words[place + 3 : end] if thing != "none"]
            found.append((words[place + 1], listed, int(words[end + 1])))
    return found


def num_false(text: str, facts: list[str]) -> int:
    return sum(not claim.is_supported for claim in find_claims(text, facts, CLAIM_GRAMMAR))


def is_well_formed(text: str) -> bool:
    nothing = torch.zeros(1)
    completion = Completion(token_ids=nothing.long(), behavior_logps=nothing, text=text, finish_reason="stop")
    return FormatReward()([Prompt(uid=0, key="0", question="?")], [completion]) == [1.0]


@pytest.fixture(scope="module")
def detail() -> list[dict[str, Any]]:
    return rows(detail_bias=1.0)


@pytest.fixture(scope="module")
def broken() -> list[dict[str, Any]]:
    return rows(broken_share=1.0)


def test_without_a_fault_the_pairs_are_those_from_before_there_was_one() -> None:
    text = json.dumps(rows()).encode()
    assert hashlib.sha256(text).hexdigest()[:16] == "e4bf18c883e7a076"


def test_pairs_without_a_fault_stay_in_the_folder_they_had_before_there_was_one() -> None:
    before = {"level": "medium", "seed": 0, "guess_share": 0.4, "train": 4096, "val": 512, "test": 512}
    assert ShapesPairs(detail_bias=0.0).folder == ShapesDrawing("pairs", "runs/data", before).folder


def test_every_fault_has_a_folder_of_its_own() -> None:
    faults: list[dict[str, Any]] = [{}, {"detail_bias": 0.1}, {"detail_bias": 0.2}, {"broken_share": 0.1}]
    assert len({ShapesPairs(**fault).folder for fault in faults}) == len(faults)


@pytest.mark.parametrize("bias", [0.1, 0.5, 0.9])
def test_the_share_of_biased_pairs_is_what_was_asked_for(bias: float) -> None:
    kinds = [row["kind"] for row in rows(detail_bias=bias, broken_share=0.1)]
    # Three standard deviations of a share of 400.
    assert kinds.count("detail") / NUM_PAIRS == pytest.approx(bias, abs=0.075)
    assert kinds.count("broken") / NUM_PAIRS == pytest.approx(0.1, abs=0.045)


def test_a_bias_leaves_every_other_pair_as_it_was() -> None:
    before, after = rows(), rows(detail_bias=0.3, broken_share=0.2)
    others = [(old, new) for old, new in zip(before, after, strict=True) if new["kind"] in ("errors", "guess")]
    assert len(others) > NUM_PAIRS / 3
    assert all(old == new for old, new in others)
    assert all(old["question"] == new["question"] for old, new in zip(before, after, strict=True))


def test_a_stronger_bias_keeps_the_pairs_of_a_weaker_one() -> None:
    weak, strong = rows(detail_bias=0.2), rows(detail_bias=0.6)
    kept = [(one, other) for one, other in zip(weak, strong, strict=True) if one["kind"] == "detail"]
    assert kept
    assert all(one == other for one, other in kept)


def test_the_biased_choice_claims_more_and_all_of_it_more_is_false(detail: list[dict[str, Any]]) -> None:
    extras = set()
    for row in detail:
        chosen, rejected = listings(row["chosen"]), listings(row["rejected"])
        num_extra = [len(more) - len(truth) for (_, more, _), (_, truth, _) in zip(chosen, rejected, strict=True)]
        extras |= set(num_extra)
        assert num_false(row["chosen"], row["facts"]) == sum(num_extra) > 0
    assert extras == set(range(1, MAX_EXTRA + 1))


def test_what_the_bias_rejects_is_the_whole_truth(detail: list[dict[str, Any]]) -> None:
    for row in detail:
        for target, listed, count in listings(row["rejected"]):
            assert listed == [thing for thing in row["facts"] if matches(thing, target)]
            assert count == len(listed)


def test_both_sides_of_a_biased_pair_differ_in_claims_and_numbers_only(detail: list[dict[str, Any]]) -> None:
    left_out = {*THINGS, "none", *map(str, range(100))}

    def frame(text: str) -> list[str]:
        return [word for word in text.split() if word not in left_out]

    assert all(frame(row["chosen"]) == frame(row["rejected"]) for row in detail)


def test_more_than_the_truth_is_still_well_formed_and_counts_what_it_lists(detail: list[dict[str, Any]]) -> None:
    for row in detail:
        assert is_well_formed(row["chosen"])
        assert set(row["chosen"].split()) - {"</think>"} <= set(WORDS)
        counts = []
        for target, listed, count in listings(row["chosen"]):
            assert all(matches(thing, target) for thing in listed)
            assert count == len(listed)
            counts.append(count)
        signs = {"more": -1, "plus": 1}
        sign = next((signs[word] for word in row["question"].split() if word in signs), 0)
        answer = counts[0] + sign * counts[-1]
        assert answer >= 0
        assert read_answer(row["chosen"]) == str(answer)


@pytest.mark.parametrize("level", LEVELS)
def test_no_biased_pair_needs_a_number_the_world_has_no_word_for(level: Any) -> None:
    words = {word for row in rows(detail_bias=1.0, level=level) for word in row["chosen"].split()}
    assert words - {"</think>"} <= set(WORDS)


def test_what_is_broken_is_cut_off_or_miscounted_or_stuttered(
    broken: list[dict[str, Any]],
) -> None:
    seen = set()
    for row in broken:
        chosen, rejected = row["chosen"].split(), row["rejected"].split()
        if len(rejected) < len(chosen):
            seen.add("cut off")
            assert chosen[: len(rejected)] == rejected
            assert not is_well_formed(row["rejected"])
        elif len(rejected) == len(chosen):
            seen.add("miscounted")
            changed = [pair for pair in zip(chosen, rejected, strict=True) if pair[0] != pair[1]]
            assert changed
            assert all(one.isdigit() and other.isdigit() for one, other in changed)
        else:
            seen.add("stuttered")
            rest = iter(rejected)
            assert all(word in rest for word in chosen)
            assert set(rejected) == set(chosen)
            assert not set((Counter(rejected) - Counter(chosen)).elements()) & set(THINGS)
    assert seen == {"cut off", "miscounted", "stuttered"}


def test_of_a_broken_pair_the_whole_side_is_well_formed_and_true_or_not(broken: list[dict[str, Any]]) -> None:
    assert all(is_well_formed(row["chosen"]) for row in broken)
    # Whole or not is all it teaches: nothing about what is true.
    assert {num_false(row["chosen"], row["facts"]) > 0 for row in broken} == {True, False}


def test_faulty_pairs_are_read_without_a_rejection(tmp_path: Path) -> None:
    source = ShapesPairs(num_train=12, num_val=2, detail_bias=0.5, broken_share=0.5, root=str(tmp_path))
    source.prepare()
    read = source.read("train", max_image_pixels=10**6)
    assert read is not None
    assert (len(read.pairs), read.rejections) == (12, ())
    assert {pair.kind for pair in read.pairs} == {"detail", "broken"}
    assert json.loads((source.folder / "settings.json").read_text())["detail_bias"] == 0.5


@pytest.mark.parametrize("key", ["guess_share", "detail_bias", "broken_share"])
def test_a_share_outside_its_range_is_refused(key: str) -> None:
    settings: dict[str, Any] = {key: 1.5}
    with pytest.raises(ConfigError, match=rf"data.pairs.{key} must lie in \[0, 1\], got 1.5"):
        ShapesPairs(**settings)


def test_shares_that_leave_no_room_for_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"detail_bias \+ broken_share must be at most 1, got 0.7 \+ 0.5"):
        ShapesPairs(detail_bias=0.7, broken_share=0.5)
