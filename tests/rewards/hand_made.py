"""Prompts and completions built by hand for the tests of the rewards."""

from typing import Any

import torch

from algorithms.records import Completion, FinishReason, Prompt


def prompt(answer: str | None = None, *, question: str = "What?", uid: int = 0, **fields: Any) -> Prompt:
    """Return a prompt with a known answer, or with none."""
    return Prompt(uid=uid, key="0", question=question, answer=answer, **fields)


def completion(text: str, finish_reason: FinishReason = "stop", *, num_tokens: int = 1) -> Completion:
    """Return a completion with this text; what its tokens are does not matter to rewards."""
    return Completion(
        token_ids=torch.zeros(num_tokens, dtype=torch.long),
        behavior_logps=torch.zeros(num_tokens),
        text=text,
        finish_reason=finish_reason,
    )


def answered(answer: str) -> Completion:
    """Return a well-formed completion that answers this."""
    return completion(f"I look and count.</think>\nAnswer: \\boxed{{{answer}}}")


def listed(scores: torch.Tensor) -> list[float | None]:
    """Return scores as a list, with None for NaN."""
    return [None if score != score else score for score in scores.tolist()]
