"""Which objects a text names."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import DataError
from hallucination.objects import ObjectLexicon, parse_synonyms

LEXICON = ObjectLexicon(
    {
        "dog": ["puppy"],
        "hot dog": [],
        "wine glass": ["goblet"],
        "person": ["man", "baby"],
        "knife": [],
        "bus": [],
        "tie": [],
        "toilet": [],
        "chair": ["seat"],
        "plate": [],
        "red-circle": [],
    },
    phrases={"baby dog": "dog", "bow tie": "tie", "home plate": ""},
    ignored_beside={"seat": "toilet"},
)


def names(text: str) -> list[str]:
    return [mention.name for mention in LEXICON.find(text)]


def test_synonyms_count_as_their_object_and_every_mention_counts() -> None:
    assert names("A puppy, another DOG and a goblet") == ["dog", "dog", "wine glass"]


def test_the_longest_phrase_wins() -> None:
    assert names("a dog eats a hot dog in hot weather") == ["dog", "hot dog"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("puppies", "dog"), ("hot dogs", "hot dog"), ("wine glasses", "wine glass"), ("knives", "knife"),
        ("buses", "bus"), ("bus", "bus"), ("men", "person"), ("people", "person"), ("ties", "tie"),
        ("the man's", "person"),
    ],
)  # fmt: skip
def test_plurals_are_found(text: str, name: str) -> None:
    assert names(text) == [name]


@pytest.mark.parametrize("text", ["hotdog-ish", "doggerel", "s", "es", "buss", "wine. Glass", "wine, glass"])
def test_what_only_looks_like_a_name_is_none(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize("text", ["hot-dog", "hot  dog", "hot\ndog", "hot_dog", "Hot Dog!"])
def test_words_of_a_phrase_may_be_joined_in_any_usual_way(text: str) -> None:
    assert names(text) == ["hot dog"]


def test_a_phrase_can_stand_for_a_shorter_word_or_for_nothing() -> None:
    assert names("a baby dog in a bow tie at home plate") == ["dog", "tie"]
    assert names("a baby, a dog and a plate") == ["person", "dog", "plate"]


def test_a_word_is_ignored_beside_the_object_that_it_is_part_of() -> None:
    assert names("the seat of the toilet") == ["toilet"]
    assert names("the seat of the bus") == ["chair", "bus"]


def test_things_of_the_shapes_world_are_objects_too() -> None:
    assert names("red : red-circle , red-circle = 2") == ["red-circle", "red-circle"]


def test_a_mention_knows_where_it_stands() -> None:
    text = "İ see two HOT-DOGS, and a puppy"
    assert [text[m.start : m.end] for m in LEXICON.find(text)] == ["HOT-DOGS", "puppy"]


def test_negation_is_not_read_as_in_chair() -> None:
    assert names("there is no dog") == ["dog"]


def test_labels_become_canonical_names() -> None:
    assert LEXICON.name_of("Puppies") == "dog"
    assert LEXICON.name_of("red-circle") == "red-circle"
    assert LEXICON.name_of("dog bed") is None
    assert LEXICON.name_of("unicorn") is None
    assert LEXICON.name_of("") is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(LEXICON.names), max_size=8))
def test_a_list_of_names_is_read_back(listed: list[str]) -> None:
    assert names(" ; ".join(listed)) == listed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    mentions = LEXICON.find(text)
    assert all(0 <= m.start < m.end <= len(text) for m in mentions)
    assert all(first.end <= second.start for first, second in pairwise(mentions))


def test_a_synonym_of_two_objects_is_refused() -> None:
    with pytest.raises(DataError, match="'ball' stands for both 'football' and 'tennis ball'"):
        ObjectLexicon({"football": ["ball"], "tennis ball": ["ball"]})


def test_a_name_without_a_letter_is_refused() -> None:
    with pytest.raises(DataError, match=r"'cat' has the name '--'"):
        ObjectLexicon({"cat": ["--"]})


def test_a_file_has_one_object_per_line() -> None:
    lines = ["# my objects", "dog, puppy,  hot  hound # barks", "", "cat"]
    assert parse_synonyms(lines, source="my.txt") == {"dog": ["puppy", "hot  hound"], "cat": []}


def test_a_broken_file_is_explained() -> None:
    with pytest.raises(DataError, match=r"my\.txt, line 2: 'dog' has a line already"):
        parse_synonyms(["dog", "dog, puppy"], source="my.txt")
    with pytest.raises(DataError, match=r"my\.txt names no object"):
        parse_synonyms(["# nothing", " , "], source="my.txt")
