"""Log-probabilities of the two completions of preference pairs, and the check for pairs that are too long."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from algorithms import PreferencePair
from models import Policy, largest_over_ranks


class PairLogps(NamedTuple):
    """Log-probabilities of B pairs: column 0 is the chosen completion, column 1 the rejected one."""

    logps: Float[Tensor, "B 2"]
    """Sum over a completion's tokens, end-of-turn included, in nats."""

    num_tokens: Int[Tensor, "B 2"]


def pair_logps(
    policy: Policy, pairs: Sequence[PreferencePair], *, with_rejected: bool = True, pairs_per_forward: int | None = None
) -> PairLogps:
    """Return the log-probabilities of B pairs. A prompt and its images are read once for both completions.

    Args:
        policy: scores the completions; gradients flow through it.
        pairs: B pairs.
        with_rejected: False: the rejected completions are not read, and column 1 is zero.
        pairs_per_forward: most pairs in one forward. More pairs are read in parts, which backward computes again; this
            needs less memory and more time, and gives the same numbers. None reads all pairs at once.
    """
    step = pairs_per_forward or len(pairs)
    parts = [pairs[start : start + step] for start in range(0, len(pairs), step)]
    # Ranks with sharded weights run equally many forwards; pairs that a rank reads twice for this are cut off below.
    (num_parts,) = largest_over_ranks(policy, len(parts))
    parts += parts[:1] * (num_parts - len(parts))
    # A single part is not computed again: backward needs its activations at once, so this would save no memory.
    if len(parts) == 1 or not torch.is_grad_enabled():
        scored = [_score(policy, part, with_rejected) for part in parts]
    else:
        scored = [checkpoint(_score, policy, part, with_rejected, use_reentrant=False) for part in parts]
    return PairLogps(*(torch.cat(columns)[: len(pairs)] for columns in zip(*scored, strict=True)))


def pair_length_problem(length: int, max_tokens: int | None, context_length: int | None) -> tuple[str, str] | None:
    """Return why a pair is too long, as a reason for counting and a detail; None when it is not too long.

    Args:
        length: length of the prompt and the longer completion together, in tokens.
        max_tokens: the data module's limit; None: no limit.
        context_length: most tokens that the model was made for; None: unknown.
    """
    if max_tokens is not None and length > max_tokens:
        return "too many tokens", f"{length}, data.max_pair_tokens is {max_tokens}"
    if context_length is not None and length > context_length:
        return "too many tokens", f"{length}, the model reads {context_length}"
    return None


def _score(policy: Policy, pairs: Sequence[PreferencePair], with_rejected: bool) -> tuple[Tensor, Tensor]:
    """Return log-probs and numbers of tokens (B, 2) from one forward."""
    prompts = [pair.prompt for pair in pairs]
    texts = [pair.chosen for pair in pairs]
    ended = [True] * len(pairs)
    if with_rejected:
        prompts = prompts + prompts
        texts = texts + [pair.rejected for pair in pairs]
        ended = ended + [pair.rejected_ended for pair in pairs]
    scores, is_completion = policy.text_scores(prompts, texts, ended)  # (2B, T) each, the chosen first
    sums, counts = scores.logps.sum(1), is_completion.sum(1)
    if not with_rejected:
        sums, counts = (torch.cat([column, torch.zeros_like(column)]) for column in (sums, counts))
    # (2B,) -> (2, B) -> (B, 2)
    return sums.view(2, -1).T, counts.view(2, -1).T
