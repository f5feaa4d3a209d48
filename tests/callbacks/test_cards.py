from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from algorithms import Completion, Prompt, RewardTable, RolloutGroup
from callbacks.canvas import GREEN, MARGIN, RED, RULE, WIDTH, wrapped
from callbacks.cards import IMAGE_SIDE, completion_card, probe_card, score_lines
from datamodules.shapes.language import CLAIM_GRAMMAR
from hallucination import GrammarJudge, JudgedCompletion, judge_groups
from rollouts import RolloutPhase

JUDGE = GrammarJudge(CLAIM_GRAMMAR.mention, CLAIM_GRAMMAR.clause_end)


class BluePicture:
    """An image of one colour that no text has, twice as wide as high."""

    def load(self) -> Image.Image:
        return Image.new("RGB", (20, 10), (0, 0, 255))


PROMPT = Prompt(uid=0, key="a", question="how many red ?", answer="1", facts=("red-circle",), images=(BluePicture(),))


def completion(text: str) -> Completion:
    return Completion(token_ids=torch.tensor([1, 2]), behavior_logps=torch.zeros(2), text=text, finish_reason="stop")


def phase(*texts: str, judge: GrammarJudge | None = JUDGE) -> RolloutPhase:
    completions = [[completion(text) for text in texts]]
    scores = torch.arange(float(len(texts)), dtype=torch.double)[None]
    table = RewardTable(
        parts={"accuracy": scores, "x": scores * torch.nan}, totals=scores, rule_totals=scores, num_failures={}
    )
    claims = None if judge is None else judge_groups(judge, [PROMPT], completions)
    return RolloutPhase([PROMPT], completions, table, claims=claims)


def group(*texts: str, judge: GrammarJudge | None = JUDGE) -> RolloutGroup:
    return phase(*texts, judge=judge).group(0)


def judged(text: str) -> JudgedCompletion:
    return JudgedCompletion(PROMPT, completion(text), JUDGE.claims(PROMPT, text) or [])


def has_color(card: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((card == color).all(axis=-1).any())


@pytest.mark.parametrize(("thing", "color", "other"), [("red-circle", GREEN, RED), ("blue-star", RED, GREEN)])
def test_a_claim_is_green_when_the_facts_support_it_and_red_when_not(thing, color, other) -> None:
    text = f"look red : {thing} = 1"
    for card in (completion_card(replace(group(text), parts={})), probe_card(judged(text))):
        assert has_color(card, color)
        assert not has_color(card, other)


def test_a_card_grows_with_its_completions_and_takes_long_and_empty_ones() -> None:
    short, long = completion_card(group("")), completion_card(group("", "word " * 500, judge=None))
    assert long.shape[0] > short.shape[0] + 300
    assert long.shape[1:] == short.shape[1:]
    assert probe_card(judged("")).shape[1:] == short.shape[1:]


def test_a_card_shows_the_image_of_its_prompt_with_its_proportions() -> None:
    is_blue = (probe_card(judged("red-circle")) == (0, 0, 255)).all(axis=-1)
    rows, columns = is_blue.any(axis=1).nonzero()[0], is_blue.any(axis=0).nonzero()[0]
    assert (rows[0], columns[0]) == (MARGIN, MARGIN)
    assert (len(rows), len(columns)) == (IMAGE_SIDE // 2, IMAGE_SIDE)


def test_every_completion_has_a_rule_above_it() -> None:
    card = completion_card(group("one", "two", "three"))
    is_rule = (card[:, MARGIN : WIDTH - MARGIN] == RULE).all(axis=(1, 2))
    assert int(is_rule.sum()) == 3


def test_a_card_is_at_most_as_wide_as_its_text_stays_readable_in_tensorboard() -> None:
    # TensorBoard shows pictures 350 pixels wide: 14-pixel letters stay 12 pixels high.
    assert completion_card(group("x" * 1000)).shape[1] == WIDTH <= 420


@pytest.mark.parametrize(("scores", "marks"), [([1.0, 1.0], {GREEN}), ([0.0, 0.0], {RED}), ([0.0, 1.0], {GREEN, RED})])
def test_right_and_wrong_completions_are_marked(scores: list[float], marks: set[tuple[int, int, int]]) -> None:
    card = completion_card(replace(group("a", "b", judge=None), parts={"accuracy": torch.tensor(scores)}))
    assert {color for color in (GREEN, RED) if has_color(card, color)} == marks


def test_an_unknown_score_is_neither_right_nor_wrong() -> None:
    card = completion_card(replace(group("a", "b", judge=None), parts={"accuracy": torch.tensor([torch.nan] * 2)}))
    assert not has_color(card, GREEN)
    assert not has_color(card, RED)
    assert "accuracy unknown" in score_lines(replace(group("a"), parts={"accuracy": torch.tensor([torch.nan])}), 0)[1]


def test_the_end_of_a_long_completion_is_shown_because_it_holds_the_answer() -> None:
    cards = [completion_card(group("word " * 900 + answer, judge=None)) for answer in ("\\boxed{1}", "\\boxed{2}")]
    assert cards[0].shape == cards[1].shape
    assert cards[0].shape[0] < 700
    assert (cards[0] != cards[1]).any()


def test_an_advantage_is_shown_where_a_group_has_any() -> None:
    with_advantages = replace(group("a", "b"), advantages=torch.tensor([-1.0, 1.0]))
    assert "advantage +1.00" in score_lines(with_advantages, 1)[0]
    assert "advantage" not in score_lines(group("a", "b"), 1)[0]


@given(st.text(max_size=300), st.integers(30, 400))
def test_lines_hold_all_characters_of_a_text_in_order(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join(line for _, line in lines) == text.replace("\n", " ").replace("\t", " ")
    assert [start for start, _ in lines] == list(accumulate((len(line) for _, line in lines[:-1]), initial=0))
