import random
import re
from collections import Counter

import pytest

from datamodules.photographs.collection import KINDS
from datamodules.photographs.mosaic import PLACES, Mosaic
from datamodules.photographs.questions import QUESTION_KINDS, Question, QuestionKind, answer_of, sample_question
from datamodules.photographs.reasoning import claim_grammar, guess, listing, misread, solution
from hallucination import find_claims
from rewards.answers import read_answer

FASHION = KINDS["fashion"]
SMALL = Mosaic(("shirt", "T-shirt", "shirt", "dress"), (0, 1, 2, 3))
LARGE = Mosaic(("bag", "bag", "boot", "coat", "dress", "bag", "sandal", "sneaker", "shirt"), tuple(range(9)))


def mosaic(index: int, collection: str = "fashion") -> Mosaic:
    chance = random.Random(index)
    names = [kind.name for kind in KINDS[collection]]
    return Mosaic(tuple(chance.choice(names) for _ in range(chance.choice((4, 9)))), ())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (Question("presence", "", ("dress",)), "yes"),
        (Question("presence", "", ("bag",)), "no"),
        (Question("count", "", ("shirt",)), "2"),
        (Question("sum", "", ("shirt", "T-shirt")), "3"),
        (Question("comparison", "", ("shirt", "dress")), "yes"),
        (Question("comparison", "", ("T-shirt", "dress")), "no"),
        (Question("place", "", (), 1), "T-shirt"),
        (Question("neighbour", "", ("dress",), 2, "left of"), "shirt"),
    ],
    ids=lambda value: value.kind if isinstance(value, Question) else value,
)
def test_the_answer_is_what_the_mosaic_shows(question: Question, answer: str) -> None:
    assert answer_of(question, SMALL) == answer


@pytest.mark.parametrize("collection", KINDS)
@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_a_careful_completion_is_right_and_claims_nothing_false(collection: str, kind: QuestionKind) -> None:
    grammar = claim_grammar(KINDS[collection])
    for index in range(40):
        seen, chance = mosaic(index, collection), random.Random(index)
        question = sample_question(seen, KINDS[collection], [kind], chance)
        completion = solution(question, seen.names)
        claims = find_claims(completion, seen.true_claims, grammar)
        assert read_answer(completion) == answer_of(question, seen)
        assert len(claims) >= len(seen.names)
        assert [claim.thing for claim in claims if not claim.is_supported] == []


def test_a_misread_cell_is_one_false_claim_and_the_answer_follows_from_the_reading() -> None:
    grammar = claim_grammar(FASHION)
    for index in range(40):
        seen, chance = mosaic(index), random.Random(index)
        reading = misread(seen, FASHION, chance, num_errors=2)
        claims = find_claims(listing(reading), seen.true_claims, grammar)
        assert sum(not claim.is_supported for claim in claims) == 2
        question = Question("count", "", (reading[0],))
        assert read_answer(solution(question, reading)) == str(reading.count(reading[0]))


def test_a_thing_at_the_wrong_place_is_a_false_claim_though_the_picture_shows_it() -> None:
    claims = find_claims("top left: dress; bottom right: dress.", SMALL.true_claims, claim_grammar(FASHION))
    assert [(claim.thing, claim.is_supported) for claim in claims] == [
        ("top left: dress", False),
        ("bottom right: dress", True),
    ]


def test_the_shirt_of_a_T_shirt_and_many_shirts_are_no_shirt() -> None:
    claims = find_claims("At a glance: T-shirt, two shirts.", SMALL.true_claims, claim_grammar(FASHION))
    assert [claim.thing for claim in claims] == ["T-shirt"]


def test_a_careless_completion_does_not_depend_on_the_picture_and_is_mostly_wrong() -> None:
    outcomes: Counter[bool] = Counter()
    for index in range(300):
        seen, chance = mosaic(index), random.Random(index)
        question = sample_question(seen, FASHION, QUESTION_KINDS, chance)
        completion = guess(question, FASHION, chance)
        assert completion.startswith("At a glance: ")
        outcomes[read_answer(completion) == answer_of(question, seen)] += 1
    assert 0.15 < outcomes[True] / outcomes.total() < 0.45


def test_a_neighbour_is_asked_for_only_beside_a_thing_that_is_there_once() -> None:
    for index in range(100):
        question = sample_question(LARGE, FASHION, ["neighbour"], random.Random(index))
        assert LARGE.names.count(question.targets[0]) == 1
    same = Mosaic(("bag",) * 4, ())
    assert sample_question(same, FASHION, ["neighbour"], random.Random(0)).kind == "place"


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_every_kind_of_question_has_several_wordings_without_a_gap(kind: QuestionKind) -> None:
    texts = {sample_question(LARGE, FASHION, [kind], random.Random(i)).text for i in range(200)}
    names = "|".join(word for k in FASHION for word in (k.one, k.many, k.name))
    places = "|".join(PLACES[3])
    shapes = {re.sub(rf"\b(?:{names})\b|{places}|left of|right of|above|below", "_", text) for text in texts}
    assert len(shapes) >= 3
    assert not any("{" in text or "  " in text for text in texts)


def test_no_answer_is_so_frequent_that_it_need_not_be_looked_for() -> None:
    for kind in QUESTION_KINDS:
        answers: Counter[str] = Counter()
        for index in range(400):
            seen, chance = mosaic(index), random.Random(index)
            answers[answer_of(sample_question(seen, FASHION, [kind], chance), seen)] += 1
        assert max(answers.values()) / answers.total() < 0.75, (kind, answers)
