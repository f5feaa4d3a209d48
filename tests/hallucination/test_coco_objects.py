"""The COCO classes, and CHAIR's rules for words that mislead."""

import pytest

from hallucination.coco_objects import chair_lexicon, coco_lexicon

COCO = coco_lexicon()


def names(text: str) -> list[str]:
    return [mention.name for mention in COCO.find(text)]


def test_there_are_eighty_classes_and_each_is_found_by_its_name() -> None:
    assert len(COCO.names) == 80
    assert [COCO.name_of(name) for name in COCO.names] == list(COCO.names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The examples that the CHAIR script was written for.
        ("a baby elephant and an adult giraffe", ["elephant", "giraffe"]),
        ("a passenger jet next to passenger trains", ["airplane", "train"]),
        ("a toilet seat", ["toilet"]),
        ("the seat on that toilet is up", ["toilet"]),
        ("a seat in the bus", ["chair", "bus"]),
        ("a man in a bow tie near home plate", ["person", "tie"]),
        ("baby animals", []),
        # Two-word objects hold words of others.
        ("a hot dog, a dog and a teddy bear", ["hot dog", "dog", "teddy bear"]),
        ("traffic lights and a stop sign", ["traffic light", "stop sign"]),
        ("wine glasses", ["wine glass"]),
        ("a stove top oven", ["oven"]),
        # Ours.
        ("adult kittens on a passenger ship", ["cat", "boat"]),
        ("a train on the train tracks", ["train"]),
        ("a baby and a dog", ["person", "dog"]),
    ],
)
def test_misleading_words(text: str, expected: list[str]) -> None:
    assert names(text) == expected


def test_rules_about_unknown_objects_do_nothing() -> None:
    lexicon = chair_lexicon({"person": ["baby"], "red-circle": []})
    assert [m.name for m in lexicon.find("baby and red-circle on a toilet seat")] == ["person", "red-circle"]
