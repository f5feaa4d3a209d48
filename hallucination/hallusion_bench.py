"""HallusionBench (arXiv:2310.14566): the share of questions, of figures and of question groups that are answered right.

    aAcc = questions answered correctly / questions
    fAcc = figures with every question right / figures              one figure = category, subcategory, set, figure
    qAcc = question groups right over every figure / groups         one group = category, subcategory, set, question

A judge decides for each completion whether it is wrong, right or uncertain. Uncertain is right only for a question of
the category "visual supplement" (VS) without a figure. Such questions count for aAcc and qAcc, but not for fAcc.

Differs from the authors' script, in which GPT-4 is the judge: any judge can be used here, and ``read_verdict`` is one
without a model, since all answers are yes or no. The category is part of the names of figures and groups, as in that
script: VD and VS use the same numbers for their sets, and toolkits that leave the category out mix their figures.
Samplers that pad repeat questions: a repeated question counts once, and is right when it is right each time.

Shapes: N answers.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from algorithms.chance import position_seed
from hallucination.yes_no import stated_answer


class Verdict(IntEnum):
    """What a judge decides about a completion, numbered as in the benchmark's files."""

    WRONG = 0
    RIGHT = 1
    UNCERTAIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HallusionQuestion:
    """A question's place in the benchmark, in the words of its file."""

    category: str
    """``VD``, visual dependent, or ``VS``, visual supplement."""

    subcategory: str
    set_id: str
    figure_id: str
    question_id: str
    is_yes: bool
    """Whether yes is right (``gt_answer`` 1)."""

    @property
    def has_figure(self) -> bool:
        """False for a visual supplement asked without its figure."""
        # The files give figure number 0 to a question without a figure; in VD, 0 is a figure like any other.
        return not (self.category == "VS" and self.figure_id == "0")

    @property
    def figure(self) -> str:
        """Name of the figure, unique in the benchmark."""
        return "/".join((self.category, self.subcategory, self.set_id, self.figure_id))

    @property
    def group(self) -> str:
        """Name of the group: the same question over all figures of its set."""
        return "/".join((self.category, self.subcategory, self.set_id, self.question_id))


class HallusionScores(NamedTuple):
    """Scores in [0, 1]; 0 without answers."""

    question_accuracy: Float[Tensor, ""]
    """aAcc."""

    figure_accuracy: Float[Tensor, ""]
    """fAcc."""

    group_accuracy: Float[Tensor, ""]
    """qAcc."""


def read_verdict(completion: str, question: HallusionQuestion) -> Verdict:
    """Return the verdict on a completion by the yes or no that it states."""
    stated = stated_answer(completion)
    if stated is None:
        return Verdict.UNCERTAIN
    return Verdict.RIGHT if stated == question.is_yes else Verdict.WRONG


def is_right(verdict: Verdict, question: HallusionQuestion) -> bool:
    """Return whether a verdict counts as right."""
    return verdict == Verdict.RIGHT or (verdict == Verdict.UNCERTAIN and not question.has_figure)


def answer_rows(verdicts: Sequence[Verdict], questions: Sequence[HallusionQuestion]) -> Int[Tensor, "N 4"]:
    """Return one row per answer: (number of its figure, number of its group, has a figure, is right)."""
    # The numbers are hashes of the names and not counters, so that the rows of several ranks agree.
    rows = [
        [position_seed(0, q.figure), position_seed(0, q.group), int(q.has_figure), int(is_right(verdict, q))]
        for verdict, q in zip(verdicts, questions, strict=True)
    ]
    # Without answers the tensor would have the shape (0,), and rows of other ranks are joined as (N, 4).
    return torch.tensor(rows, dtype=torch.long).reshape(-1, 4)


def hallusion_scores(rows: Int[Tensor, "N 4"]) -> HallusionScores:
    """Return the three accuracies of rows from ``answer_rows``, in any order."""
    figures, groups, has_figure, right = ([int(cell) for cell in column] for column in rows.cpu().unbind(1))
    of_question: dict[Hashable, list[int]] = defaultdict(list)
    of_figure: dict[Hashable, list[int]] = defaultdict(list)
    of_group: dict[Hashable, list[int]] = defaultdict(list)
    # A figure and a group together name one question.
    for figure, group, is_shown, is_right_answer in zip(figures, groups, has_figure, right, strict=True):
        of_question[figure, group].append(is_right_answer)
        of_group[group].append(is_right_answer)
        if is_shown:
            of_figure[figure].append(is_right_answer)
    shares = [_share_all_right(answers) for answers in (of_question, of_figure, of_group)]
    return HallusionScores(*torch.tensor(shares, device=rows.device))


def _share_all_right(answers: Mapping[Hashable, Sequence[int]]) -> float:
    # A figure, a group or a repeated question is right when each of its answers is.
    return sum(map(all, answers.values())) / max(len(answers), 1)


class HallusionBenchMetric(Metric):
    """aAcc, fAcc and qAcc; the questions of one figure or group may lie on several ranks."""

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        """Start without answers."""
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, verdicts: Sequence[Verdict], questions: Sequence[HallusionQuestion]) -> None:
        """Add judged answers; ``read_verdict`` judges without a model."""
        self.rows.append(answer_rows(verdicts, questions).to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the rows of all ranks; a rank without rows contributes (0, 4)."""
        # torchmetrics would send an empty float tensor of shape (0,), which cannot be joined with rows of other ranks.
        if not self.rows:
            self.rows.append(answer_rows([], []).to(self.device))
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """Return the three accuracies and their mean, which leaderboards report."""
        rows = dim_zero_cat(self.rows) if len(self.rows) else answer_rows([], []).to(self.device)
        scores = hallusion_scores(rows)
        return {
            "hallusion_question_accuracy": scores.question_accuracy,
            "hallusion_figure_accuracy": scores.figure_accuracy,
            "hallusion_group_accuracy": scores.group_accuracy,
            "hallusion_mean_accuracy": torch.stack(scores).mean(),
        }
