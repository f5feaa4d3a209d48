"""Prompts and completions built by hand for the tests of the rewards."""

import torch

from algorithms.records import Completion, FinishReason, Prompt


def prompt(answer: str | None) -> Prompt:
    """Return a prompt with a known answer, or with none."""
    return Prompt(uid=0, key="0", question="What?", answer=answer)


def completion(text: str, finish_reason: FinishReason = "stop") -> Completion:
    """Return a completion with this text; its tokens do not matter to rewards."""
    return Completion(
        token_ids=torch.zeros(1, dtype=torch.long),
        behavior_logps=torch.zeros(1),
        text=text,
        finish_reason=finish_reason,
    )


def answered(answer: str) -> Completion:
    """Return a well-formed completion that answers this."""
    return completion(f"I look and count.</think>\nAnswer: \\boxed{{{answer}}}")
