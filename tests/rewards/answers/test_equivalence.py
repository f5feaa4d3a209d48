"""The fast decision whether an answer is the gold answer."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewards.answers.choices import letters_in
from rewards.answers.equivalence import Expressions, judge, judge_quickly
from rewards.answers.reasons import Reason, Unknown

# What each step decides without computer algebra.
REASONS = [
    ("12", r" \text{12} ", Reason.RIGHT_TEXT),
    ("0.5", "1/2", Reason.RIGHT_NUMBER),
    ("50%", "0.5", Reason.RIGHT_NUMBER),
    ("12 cm", "120 mm", Reason.RIGHT_UNIT),
    ("12", "12 students", Reason.RIGHT_UNIT),
    ("B", "(B)", Reason.RIGHT_CHOICE),
    ("No", "No, they differ.", Reason.RIGHT_CHOICE),
    ("(1, 0.5)", "(1, 1/2)", Reason.RIGHT_PARTS),
    ("3:4", "6:8", Reason.RIGHT_PARTS),
    ("12", "13", Reason.WRONG),
    ("12", "12, 13", Reason.SEVERAL_ANSWERS),
    ("B", "A or B", Reason.SEVERAL_ANSWERS),
    ("12 cm", "12 cm^2", Reason.UNIT_DIFFERS),
    ("12 cm", "12 foos", Reason.UNIT_UNKNOWN),
    ("12", "not 12", Reason.UNREADABLE_ANSWER),
    ("12", "{12", Reason.UNREADABLE_ANSWER),
    ("x + {1", "x", Reason.UNREADABLE_GOLD),
    ("", "12", Reason.UNREADABLE_GOLD),
    ("12", " ", Reason.NO_BOX),
]

NEEDS_SYMBOLS = [
    ("x^2/3", r"\frac{x^2}{3}"),
    ("x+1", "1+x"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    ("5", "5x"),
    ("5", "5m"),
    (r"\sin x", r"\cos x"),
    ("2ab", "ab+ab"),
    (r"\{1, \sqrt{4}\}", r"\{1, 2\}"),
]


@pytest.mark.parametrize(("gold", "answer", "reason"), REASONS)
def test_every_verdict_has_its_reason(gold: str, answer: str, reason: Reason) -> None:
    assert judge_quickly(gold, answer) is reason


@pytest.mark.parametrize(("gold", "answer"), NEEDS_SYMBOLS)
def test_only_mathematics_is_left_undecided(gold: str, answer: str) -> None:
    assert judge_quickly(gold, answer) is None


def test_what_is_left_to_compare_is_written_as_it_came() -> None:
    def compare(expressions: Expressions) -> bool:
        asked.append(expressions)
        return True

    asked: list[Expressions] = []
    assert judge(r"$2\sqrt{3}\text{ cm}$", r"\sqrt{12}", compare) is Reason.RIGHT_SYMBOLS
    assert asked == [Expressions("value", (r"2\sqrt{3}",), (r"\sqrt{12}",))]


@pytest.mark.parametrize("reason", [Reason.TIMED_OUT, Reason.UNREADABLE_GOLD, Reason.COMPARISON_FAILED])
def test_a_comparison_without_a_result_is_unknown_and_not_wrong(reason: Reason) -> None:
    def compare(expressions: Expressions) -> bool:
        raise Unknown(reason)

    for gold, answer in (("x+1", "1+x"), ("(x+1, 2)", "(1+x, 2)"), ("y=x+1", "y-x=1"), ("1, x+1", "1+x, 1")):
        assert judge(gold, answer, compare) is reason
    assert reason.is_unknown
    assert reason.score != reason.score


def test_a_wrong_answer_scores_zero_and_a_right_one_one() -> None:
    assert {reason.score for reason in Reason if reason.startswith("right")} == {1.0}
    assert Reason.WRONG.score == Reason.NO_BOX.score == 0.0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.text("abcdnoxyABC", min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_an_anagram_never_matches_whatever_the_word(word: str, random: object) -> None:
    letters = list(word)
    random.shuffle(letters)  # type: ignore[attr-defined]
    anagram = "".join(letters)
    assume(anagram.lower() != word.lower())
    # The letters of several options may come in any order.
    assume(letters_in(word) is None)
    for pattern in ("{}", r"\text{{{}}}", "({})", "2{}", "{}+1"):
        verdict = judge_quickly(pattern.format(word), pattern.format(anagram))
        # Without a verdict it is algebra: 2Ac is 2cA.
        assert verdict is None or not verdict.is_right


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.fractions(max_denominator=50), st.fractions(max_denominator=50))
def test_fractions_are_equal_exactly_when_their_values_are(one: object, other: object) -> None:
    verdict = judge_quickly(str(one), str(other))
    assert verdict is not None
    assert verdict.is_right is (one == other)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_change_nothing(number: int) -> None:
    for gold, answer, is_right in (
        (str(number), f"{number:,}", True),
        (f"{number:,}.00", str(number), True),
        (str(number), f"{number + 1:,}", False),
    ):
        verdict = judge_quickly(gold, answer)
        assert verdict is not None
        assert verdict.is_right is is_right


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.text(
        r"\{}()[]^_/.,:;=<>|%$e+-0123456789 abxfractpim°'和元"
        + "\N{DIGIT ONE}\N{SUPERSCRIPT TWO}\N{ARABIC-INDIC DIGIT ONE}"
    )
)
def test_no_text_can_crash_the_comparison(text: str) -> None:
    for gold in ("12", "B", r"\frac{1}{2}", "x+1", "12 cm", "(1,2)", "3:30", "x > 3"):
        for choices in (None, ("1", "2")):
            assert judge_quickly(gold, text, choices=choices) in (None, *Reason)
            assert judge_quickly(text, gold, choices=choices) in (None, *Reason)


PIECES = [
    "1,", "1 ", "m/", "1:", r"\text{", "{", "(", "[1,", "A) ", "A or ", "x ", "x=", "x<", r"\frac{1}{",
    r"\begin{pmatrix}",     r"\pm ", r"\cup ", "9", "%", "^", "°", "1 h ", "yes ", "个", "-", "_1",
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_an_answer_too_long_to_be_one_is_wrong_and_costs_nothing(piece: str) -> None:
    assert judge_quickly("12", piece * 100_000) is Reason.UNREADABLE_ANSWER
    assert judge_quickly(piece * 100_000, "12") is Reason.UNREADABLE_GOLD
    # Quadratic steps on a thousand characters are fast; cubic ones would be seen here.
    longest = (piece * 1000)[:1000]
    for gold in ("12", "B", "12 cm", "(1,2)", "x > 3"):
        verdict = judge_quickly(gold, longest, choices=("1", "2"))
        assert verdict is None or not verdict.is_right
        judge_quickly(longest, gold)
        judge_quickly(longest, longest[:-1])
