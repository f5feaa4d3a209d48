"""What a step costs by counting tokens: the prediction beside every measurement, and the estimate before it.

In passes of one token forward through the model, 2 N floating-point operations for N parameters:

    update       3 per token (forward, and twice as much backward), 4 where activations are computed again
    reference    1 per token
    reading      1 per token of a prompt before sampling
    sampling     ``SAMPLING`` per token

                 GRPO, here        GRPO, TRL         MPO, here         MPO, TRL
    update       P + G A           G (P + A)         G (P + 2 A)       2 G (P + A)
    reference    -                 -                 before step 1     2 G (P + A)
    reading      P                 G P               -                 -
    sampling     G A               G A               -                 -

P tokens of a prompt, A of a completion, G completions or pairs. TRL 1.16 refuses to compute the reference before
training where there are pictures, so it does in every step. Attention, the vision tower, the optimizer and everything
that takes as long for a small model as for a large one are left out: the smaller the model, the worse the prediction.
"""

import time
from typing import NamedTuple

import torch

from experiments.speed.growth.cells import Cell
from experiments.speed.subjects import MODELS

SAMPLING = 3.5
"""Passes that sampling a token costs, as it reads all weights for a few tokens: of one step with 135M parameters."""

# For the estimate alone: what a matrix product of torch reaches and a model does not, and what no size changes.
_SHARE_OF_SPEED = 0.4
_STEP_SECONDS, _SIDE_SECONDS = 1.0, 4.0


class Passes(NamedTuple):
    """Of one step, in tokens once forward through the model."""

    ours: float
    trl: float

    @property
    def ratio(self) -> float:
        """How many times ours goes into TRL's."""
        return self.trl / self.ours


def passes(cell: Cell) -> Passes:
    """Return what a step costs on both sides."""
    prompt, group, answers = cell.prompt, cell.group, cell.group * cell.answer
    update = 4 if cell.recompute else 3
    if cell.kind == "mpo":
        pair = prompt + 2 * cell.answer
        return Passes(update * group * pair, (update + 1) * 2 * group * (prompt + cell.answer))
    ours = update * (prompt + answers) + prompt + SAMPLING * answers
    return Passes(ours, update * (group * prompt + answers) + group * prompt + SAMPLING * answers)


def estimated_seconds(cell: Cell, flops_per_second: float) -> float:
    """Return the seconds that a cell takes by this arithmetic, rough by a factor of two.

    Args:
        cell: with its steps, of both sides.
        flops_per_second: what a matrix product reaches with the threads that will be used.
    """
    work = cell.steps * sum(passes(cell)) * 2 * MODELS[cell.model].parameters
    return work / (_SHARE_OF_SPEED * flops_per_second) + 2 * (cell.steps * _STEP_SECONDS + _SIDE_SECONDS)


def matrix_product_speed() -> float:
    """Return floating-point operations per second of a matrix product, the fastest of several."""
    size = 1024
    left, right = torch.randn(2, size, size)
    seconds: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)
