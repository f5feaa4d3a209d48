"""Which claims of a text its facts support."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.errors import ConfigError
from hallucination.claims import ClaimGrammar, find_claims

GRAMMAR = ClaimGrammar(mention=r"(?:red|blue)-(?:circle|square)")
THING = st.sampled_from(["red-circle", "red-square", "blue-circle", "blue-square"])


def verdicts(text: str, facts: list[str]) -> list[bool]:
    return [claim.is_supported for claim in find_claims(text, facts, GRAMMAR)]


def test_a_claim_is_supported_when_the_image_holds_the_thing() -> None:
    assert verdicts("red-circle , blue-square", ["red-circle"]) == [True, False]


def test_a_repeat_needs_as_many_things_in_the_image() -> None:
    text = "red : red-circle , red-circle , red-circle = 3"
    assert verdicts(text, ["red-circle", "red-circle", "blue-circle"]) == [True, True, False]


def test_a_thing_may_be_named_again_in_another_clause() -> None:
    text = "red : red-circle , red-square = 2 ; circles : red-circle = 1 . red-circle\nred-circle"
    assert verdicts(text, ["red-circle", "red-square"]) == [True] * 5


def test_repeats_of_different_things_are_counted_apart() -> None:
    assert verdicts("red-circle , red-square , red-circle", ["red-circle", "red-square"]) == [True, True, False]


def test_a_claim_knows_where_it_stands_in_the_whole_text() -> None:
    text = "blue : blue-circle = 1 ; red : red-square = 1"
    claims = find_claims(text, [], GRAMMAR)
    assert [claim.thing for claim in claims] == ["blue-circle", "red-square"]
    assert [text[claim.start : claim.end] for claim in claims] == ["blue-circle", "red-square"]


def test_a_text_without_mentions_claims_nothing() -> None:
    assert find_claims("the answer is 3", ["red-circle"], GRAMMAR) == []
    assert find_claims("", ["red-circle"], GRAMMAR) == []


def test_without_facts_no_claim_is_supported() -> None:
    assert verdicts("red-circle = 1", []) == [False]


def test_a_clause_may_end_with_any_expression() -> None:
    grammar = ClaimGrammar(mention=GRAMMAR.mention, clause_end=r"\bso\b")
    claims = find_claims("red-circle = red-circle so red-circle", ["red-circle"], grammar)
    assert [claim.is_supported for claim in claims] == [True, False, True]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(THING, max_size=8))
def test_a_text_made_of_the_facts_hallucinates_nothing(facts: list[str]) -> None:
    claims = find_claims(" , ".join(facts), facts, GRAMMAR)
    assert [claim.thing for claim in claims] == facts
    assert all(claim.is_supported for claim in claims)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.lists(THING, max_size=5), max_size=4), st.lists(THING, max_size=5))
def test_verdicts_match_counting_by_hand(clauses: list[list[str]], facts: list[str]) -> None:
    text = " = 1 ; ".join(" , ".join(clause) for clause in clauses)
    expected = [
        clause[: i + 1].count(thing) <= facts.count(thing) for clause in clauses for i, thing in enumerate(clause)
    ]
    assert verdicts(text, facts) == expected


@pytest.mark.parametrize("key", ["mention", "clause_end"])
def test_a_broken_expression_is_refused_by_its_full_name(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"judge\.{key} is not a regular expression"):
        ClaimGrammar(**{"mention": "a", key: "("})
