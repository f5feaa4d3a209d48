"""Averages: how the values of tokens become one number.

    sequence    mean over samples of the mean over tokens                     (GRPO; R1V2, arXiv:2504.16656, eq. 8)
    token       mean over all tokens                                          (DAPO, arXiv:2503.14476)
    constant    sum over tokens / longest length, mean over samples           (Dr.GRPO, arXiv:2503.20783)

Averages divide by the size of the whole optimizer step, so that no split of a batch changes its gradient.

Shapes: B samples, T completion tokens.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from algorithms.grpo.function_table import FunctionTable


class StepSize(NamedTuple):
    """What one optimizer step holds, over all of its micro-batches and ranks."""

    num_samples: float
    num_tokens: float
    """Completion tokens; counted only for averages that may need the number, see ``WITHOUT_TOKEN_COUNT``."""

    max_tokens: int
    """Longest completion that sampling allows."""


AverageName = Literal["sequence", "token", "constant"]
Average = Callable[[Tensor, Tensor, StepSize], Tensor]
"""(values (B, T), is_completion (B, T), size) -> this micro-batch's share, a scalar; values are 0 at padding."""


def sequence_mean(
    values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize
) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over samples of the mean over tokens."""
    # A row without tokens divides by 1, so that it adds 0 and not NaN.
    per_sample = values.sum(dim=1) / is_completion.sum(dim=1).clamp_min(1)  # (B,)
    return per_sample.sum() / size.num_samples


def token_mean(values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over all tokens."""
    del is_completion
    return values.sum() / size.num_tokens


def constant_mean(
    values: Float[Tensor, "B T"], is_completion: Bool[Tensor, "B T"], size: StepSize
) -> Float[Tensor, ""]:
    """Return this micro-batch's share of the mean over samples of the sum over tokens / longest length."""
    del is_completion
    return values.sum() / (size.num_samples * size.max_tokens)


AVERAGES: FunctionTable[Average] = FunctionTable(
    "model.grpo.average", {"sequence": sequence_mean, "token": token_mean, "constant": constant_mean}
)
# Counting the tokens of a step takes a sum over ranks. Every average that is not named here gets the count.
WITHOUT_TOKEN_COUNT = frozenset({"sequence", "constant"})
