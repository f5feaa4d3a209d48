"""The learner's own log-probs of completions that an engine sampled, before anything is learnt from them.

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
        score: returns the log-probs of some of them.
        num_parts: in how many parts they are scored: as many as training reads them in, so that this needs no more
            memory than that.
        placeholder: read for each part that is empty, where all ranks must run equally many forwards because they
            gather weights together; None: nothing is.
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
