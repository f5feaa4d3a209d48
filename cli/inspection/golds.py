"""Checks how the verifier reads the answers of a data set: each answer in a box must be right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from algorithms.records import Completion, Prompt
from rewards import AccuracyReward


@dataclass(frozen=True)
class GoldReading:
    """An answer, and the verdict when it is compared with itself."""

    key: str
    answer: str
    is_read: bool
    verdict: str


def read_golds(prompts: Sequence[Prompt]) -> list[GoldReading]:
    """Return for every prompt the verdict on a completion with the prompt's own answer."""
    answered = [prompt for prompt in prompts if prompt.answer and prompt.answer.strip()]
    if not answered:
        return []
    scores = AccuracyReward(needs_reasoning=False)(answered, [_completion(str(p.answer)) for p in answered])
    return [
        GoldReading(prompt.key, str(prompt.answer), score is not None and float(score) == 1.0, _in_words(score))
        for prompt, score in zip(answered, scores, strict=True)
    ]


def _completion(answer: str) -> Completion:
    # An answer that already has a box gets no second one: two boxes would be two answers.
    text = answer if "\\boxed" in answer else f"\\boxed{{{answer}}}"
    return Completion(
        token_ids=torch.zeros(1, dtype=torch.long), behavior_logps=torch.zeros(1), text=text, finish_reason="stop"
    )


def _in_words(score: float | None) -> str:
    if score is None:
        return "has no score"
    if math.isnan(float(score)):
        return "cannot be compared"
    return "equal to itself" if float(score) == 1.0 else "not equal to itself"
