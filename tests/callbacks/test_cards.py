import numpy as np
import pytest
import torch
from PIL import Image

from algorithms import Completion, Prompt, RewardTable, RolloutGroup
from callbacks.cards import GREEN, IMAGE_SIDE, MARGIN, RED, completion_card, probe_card
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
    for card in (completion_card(group(text)), probe_card(judged(text))):
        assert has_color(card, color)
        assert not has_color(card, other)


def test_a_card_grows_with_its_completions_and_takes_long_and_empty_ones() -> None:
    short, long = completion_card(group("")), completion_card(group("", "word " * 500, judge=None))
    assert long.shape[0] > short.shape[0] + 400
    assert long.shape[1:] == short.shape[1:]
    assert probe_card(judged("")).shape == short.shape


def test_a_card_shows_the_image_of_its_prompt_with_its_proportions() -> None:
    is_blue = (probe_card(judged("red-circle")) == (0, 0, 255)).all(axis=-1)
    rows, columns = is_blue.any(axis=1).nonzero()[0], is_blue.any(axis=0).nonzero()[0]
    assert (rows[0], columns[0]) == (MARGIN, MARGIN)
    assert (len(rows), len(columns)) == (IMAGE_SIDE // 2, IMAGE_SIDE)


def test_only_the_completions_of_a_group_are_separated_by_rules() -> None:
    lines = [
        (card[:, MARGIN:-MARGIN] == card[:, MARGIN : MARGIN + 1]).all(axis=(1, 2)) & (card[:, MARGIN, 0] != 255)
        for card in (completion_card(group("one", "two")), probe_card(judged("one")))
    ]
    assert [int(is_rule.sum()) for is_rule in lines] == [2, 0]
