"""AMBER's scores of descriptions, judged by hand."""

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


def test_an_annotated_word_without_an_entry_is_refused() -> None:
    with pytest.raises(DataError, match="no entry for the annotated 'moon'"):
        counts("a moon", ["moon"], [])


def test_without_responses_every_score_is_zero() -> None:
    assert amber_scores(torch.zeros(9, dtype=torch.long)) == (0.0,) * 5
