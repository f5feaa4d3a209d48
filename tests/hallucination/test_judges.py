from pathlib import Path

import pytest

from algorithms import ConfigError, DataError, Prompt
from hallucination.coco_objects import coco_lexicon
from hallucination.judges import GrammarJudge, ObjectJudge, YesNoJudge, load_lexicon


def prompt(**fields) -> Prompt:
    return Prompt(uid=0, key="0", question="?", **fields)


def verdicts(claims) -> list[tuple[str, bool]]:
    return [(claim.thing, claim.is_supported) for claim in claims]


def test_a_grammar_judges_against_facts_with_their_number() -> None:
    judge = GrammarJudge(mention=r"red-\w+")
    assert verdicts(judge.claims(prompt(facts=("red-star",)), "red-star red-star")) == [
        ("red-star", True), ("red-star", False),
    ]  # fmt: skip


def test_objects_are_judged_by_any_of_their_words() -> None:
    claims = ObjectJudge().claims(prompt(facts=("puppy", "bicycle")), "Two dogs chase a bike past a cat.")
    assert claims is not None
    assert verdicts(claims) == [("dog", True), ("bicycle", True), ("cat", False)]


@pytest.mark.parametrize(("answer", "expected"), [("yes", [("dog", True)]), ("no", [("dog", False)])])
def test_a_yes_claims_the_object_that_was_asked_for(answer: str, expected: list) -> None:
    claims = YesNoJudge().claims(prompt(answer=answer, columns={"object": "dog"}), "</think> Yes, there is.")
    assert claims is not None
    assert verdicts(claims) == expected


def test_a_no_claims_nothing() -> None:
    assert YesNoJudge().claims(prompt(answer="yes"), "No.") == []


def test_where_nothing_is_known_nothing_is_judged() -> None:
    assert GrammarJudge(mention="x").claims(prompt(), "x") is None
    assert ObjectJudge().claims(prompt(), "a dog") is None
    assert YesNoJudge().claims(prompt(), "yes") is None


def test_a_users_file_gets_the_same_rules(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text("person, baby, passenger\ndog,  pooch\nairplane, jet\nchair, seat\n")
    lexicon = load_lexicon(str(file))
    text = "A baby pooch and a passenger jet with a seat"
    assert [m.name for m in lexicon.find(text)] == ["dog", "airplane", "chair"]


def test_the_name_coco_is_the_built_in_lexicon() -> None:
    assert load_lexicon("coco").names == coco_lexicon().names


def test_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be 'coco' or a text file, got '.*nowhere\.txt'"):
        load_lexicon(str(tmp_path / "nowhere.txt"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"words\.bin is no UTF-8 text"):
        load_lexicon(str(tmp_path / "words.bin"))
