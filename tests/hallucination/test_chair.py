"""CHAIR and coverage, on a caption judged by hand."""

from hallucination.chair import count_covered, find_object_claims, true_objects
from hallucination.claims import ClaimGrammar, find_claims
from hallucination.coco_objects import coco_lexicon
from hallucination.objects import ObjectLexicon

COCO = coco_lexicon()


def test_truth_joins_instances_and_reference_captions() -> None:
    captions = ["A lady with her puppy.", "Someone on a couch beside a dog"]
    assert true_objects(["couch", "TVs", "dining table"], captions, COCO) == {
        "couch", "tv", "dining table", "person", "dog",
    }  # fmt: skip


def test_a_label_that_is_no_object_cannot_be_mentioned() -> None:
    assert true_objects(["unicorn", "dog bed"], [], COCO) == frozenset()


def test_a_mention_is_supported_when_the_image_shows_the_object() -> None:
    text = "A man and two dogs sit on a sofa next to a hot dog."
    claims = find_object_claims(text, {"person", "couch", "dog"}, COCO)
    assert [(c.thing, c.is_supported) for c in claims] == [
        ("person", True), ("dog", True), ("couch", True), ("hot dog", False),
    ]  # fmt: skip
    assert [text[c.start : c.end] for c in claims] == ["man", "dogs", "sofa", "hot dog"]


def test_how_many_there_are_does_not_matter_here_but_does_for_claims() -> None:
    text, facts = "red-circle , red-circle", ["red-circle"]
    lexicon = ObjectLexicon({"red-circle": []})
    counted = find_claims(text, facts, ClaimGrammar(mention="red-circle"))
    assert [c.is_supported for c in find_object_claims(text, facts, lexicon)] == [True, True]
    assert [c.is_supported for c in counted] == [True, False]


def test_coverage_counts_each_true_object_once() -> None:
    facts = {"dog", "person", "couch"}
    claims = find_object_claims("a dog, another dog, a cat", facts, COCO)
    assert count_covered(claims, facts) == (1, 3)
    assert count_covered([], facts) == (0, 3)
    assert count_covered(claims, []) == (0, 0)


def test_coverage_is_the_same_for_claims_with_counts() -> None:
    facts = ["red-circle", "red-circle", "blue-star"]
    claims = find_claims("red-circle red-circle green-star", facts, ClaimGrammar(mention=r"\w+-\w+"))
    assert count_covered(claims, facts) == (1, 2)
