"""Computes the learner's own log-probs of completions that an engine sampled, before the learner learns from them.

Shapes: B samples, T completion tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from algorithms import ExperienceBatch


@torch.no_grad()
def learner_logps(
    samples: ExperienceBatch,
    score: Callable[[ExperienceBatch], Tensor],
    *,
    num_parts: int,
    placeholder: ExperienceBatch | None,
) -> Tensor | None:
    """Return log-probs (B, T) on the CPU, 0 at padding; None without samples.

    Args:
        samples: B samples.
        score: function that returns the log-probs of some of the samples.
        num_parts: number of parts in which the samples are scored; with as many parts as training has micro-batches,
            scoring needs no more memory than training.
        placeholder: sample that is scored for each empty part, so that all ranks run equally many forwards, which
            sharded weights need; None: empty parts are skipped.
    """
    scored: list[Tensor] = []
    for part in torch.arange(len(samples)).tensor_split(num_parts):
        if len(part):
            scored.append(score(samples.rows(part)).cpu())
        elif placeholder is not None:
            score(placeholder)
    if not scored:
        return None
    longest = samples.completion_ids.shape[1]
    # Each part was cut to its own longest completion: back to (B, T).
    return torch.cat([torch.nn.functional.pad(logps, (0, longest - logps.shape[1])) for logps in scored])
