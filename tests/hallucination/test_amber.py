"""AMBER's scores of descriptions, judged by hand."""

import random

import pytest
import torch

from algorithms.errors import DataError
from hallucination.amber import AmberCounts, amber_counts, amber_scores
from hallucination.amber_vocabulary import AmberVocabulary
from tests.assertions import assert_same

ASSOCIATIONS = {
    "table": ["desk"],
    "car": ["window", "tire"],
    "house": ["window"],
    "person": ["man", "woman"],
    "tree": [],
    "dog": [],
    "sun": [],
    "desk": [],
}
VOCABULARY = AmberVocabulary(ASSOCIATIONS, safe_words=["sun"])


def counts(text: str, truth: list[str], targets: list[str], vocabulary: AmberVocabulary = VOCABULARY) -> AmberCounts:
    return amber_counts(text, truth, targets, vocabulary)


def test_by_hand() -> None:
    text = "Two men sit at a desk in the sun, a dog and a tree behind them; the dog barks."
    judged = counts(text, ["person", "table", "house"], ["dog", "car"])
    # men, desk, sun, dog, tree, dog: the dogs are imagined as foreseen, the tree is wrong, the sun is safe.
    assert judged == AmberCounts(
        num_mentions=6, num_hallucinated=3, num_imagined=2, num_true=3, num_covered=2, num_targets=2,
        num_targets_named=1, num_responses=1, num_hallucinating=1,
    )  # fmt: skip
    total = torch.tensor(judged) + torch.tensor(counts("a car", ["car"], ["tree"]))
    scores = amber_scores(total)
    assert_same(torch.stack(scores), torch.tensor([3 / 7, 3 / 4, 1 / 2, 1 / 3, 2 / 7]))


def test_a_part_covers_the_true_whole() -> None:
    judged = counts("a window", ["car"], [])
    assert (judged.num_hallucinated, judged.num_covered) == (0, 1)


def test_a_part_of_several_true_things_covers_one() -> None:
    assert counts("a window and windows", ["house", "car"], []).num_covered == 1


def test_a_word_that_is_itself_true_covers_that_and_not_its_neighbour() -> None:
    judged = counts("a desk", ["table", "desk"], [])
    assert judged.num_covered == 1
    assert counts("a desk and a table", ["table", "desk"], []).num_covered == 2


def test_a_part_of_a_target_names_it() -> None:
    judged = counts("a tire", ["tree"], ["car"])
    assert (judged.num_hallucinated, judged.num_imagined, judged.num_targets_named) == (1, 1, 1)


def test_safe_words_are_mentions_that_are_never_wrong() -> None:
    judged = counts("the sun", ["tree"], [])
    assert (judged.num_mentions, judged.num_hallucinated, judged.num_covered) == (1, 0, 0)


def test_unknown_words_are_no_mentions() -> None:
    assert counts("a spaceship", ["tree"], []).num_mentions == 0


def test_near_synonyms_count_when_somebody_tells_them() -> None:
    pairs = {("tree", "dog"), ("desk", "car")}
    alike = AmberVocabulary(ASSOCIATIONS, is_similar=lambda word, other: (word, other) in pairs)
    judged = counts("a tree and a desk", ["dog"], ["car"], alike)
    assert (judged.num_hallucinated, judged.num_covered) == (1, 1)
    assert (judged.num_targets_named, judged.num_imagined) == (1, 1)


def of_the_script(
    mentions: list[str], truth: list[str], targets: list[str], vocabulary: AmberVocabulary
) -> tuple[int, int, int, int, int, int]:
    """Count as the authors' inference.py does, written from its loops with their flags and offsets."""

    def mark(word_list: list[str], places: list[int], names: list[str], is_match) -> bool:
        for j, other in enumerate(word_list):
            if is_match(other):
                offset = len(places) - len(names)
                places[places[j] + offset if j < offset else j] = 1
                return True
        return False

    def tables(names: list[str]) -> tuple[list[str], list[int]]:
        words, places = [], []
        for index, name in enumerate(names):
            words += vocabulary.associations[name]
            places += [index] * len(vocabulary.associations[name])
        return words + names, places + [0] * len(names)

    true_words, true_places = tables(truth)
    target_words, target_places = tables(targets)
    wrong = 0
    for noun in mentions:
        if noun in vocabulary.safe_words:
            continue
        if mark(true_words, true_places, truth, lambda other, noun=noun: noun == other):
            continue
        mark(target_words, target_places, targets, lambda other, noun=noun: noun == other)
        mark(target_words, target_places, targets, lambda other, noun=noun: vocabulary.is_similar(noun, other))
        wrong += not mark(true_words, true_places, truth, lambda other, noun=noun: vocabulary.is_similar(noun, other))
    covered = sum(true_places[len(true_places) - len(truth) :])
    named = sum(target_places[len(target_places) - len(targets) :])
    return len(mentions), wrong, len(truth), covered, len(targets), named


@pytest.mark.parametrize("share_similar", [0.0, 0.05, 0.2, 0.5])
def test_random_annotations_count_as_in_the_authors_script(share_similar: float) -> None:
    chance = random.Random(str(share_similar))
    words = [f"w{chr(97 + i)}x" for i in range(14)]
    for _ in range(500):
        # No entry is associated with another one: for such words this project differs, as its docstring says.
        entries, others = words[:8], words[8:]
        associations = {word: chance.sample(others, chance.randint(0, 3)) for word in entries}
        alike = {(one, other) for one in words for other in words if chance.random() < share_similar}
        alike |= {(word, word) for word in words}
        vocabulary = AmberVocabulary(
            associations,
            safe_words=chance.sample(words, 2),
            is_similar=lambda *pair, alike=alike: pair in alike,
        )
        known = [word for word in words if word in associations or any(word in each for each in associations.values())]
        mentions = chance.choices(known, k=chance.randint(0, 6))
        truth, targets = (chance.sample(entries, chance.randint(1, 4)) for _ in range(2))
        judged = counts(" and ".join(mentions), truth, targets, vocabulary)
        assert judged[:2] + judged[3:7] == of_the_script(mentions, truth, targets, vocabulary)


def test_one_word_can_name_a_target_by_the_table_and_another_one_by_resemblance() -> None:
    alike = AmberVocabulary(ASSOCIATIONS, is_similar=lambda word, other: (word, other) == ("dog", "woman"))
    judged = counts("a dog", ["tree"], ["person", "dog"], alike)
    assert (judged.num_targets_named, judged.num_imagined, judged.num_hallucinated) == (2, 1, 1)


def test_associated_words_are_compared_before_the_annotated_ones() -> None:
    alike = AmberVocabulary(ASSOCIATIONS, is_similar=lambda word, other: other in ("tree", "tire"))
    judged = counts("a dog and a tire", ["tree", "car"], [], alike)
    # Both are the tire's car, though the tree comes first in the annotation.
    assert judged.num_covered == 1


def test_an_annotated_word_without_an_entry_is_refused() -> None:
    with pytest.raises(DataError, match="no entry for the annotated 'moon'"):
        counts("a moon", ["moon"], [])


def test_without_responses_every_score_is_zero() -> None:
    assert amber_scores(torch.zeros(9, dtype=torch.long)) == (0.0,) * 5
