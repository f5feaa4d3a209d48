"""Completions with their judged claims, and the one definition of the hallucination rate.

    hallucination rate = unsupported claims / all claims            (CHAIR_i, arXiv:1809.02156)

Evaluation, the log of rollouts and the hallucination monitor all use these functions, so their rates agree.

Shapes: P prompts, G completions per prompt.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from algorithms.records import Claim, Completion, Prompt
from hallucination.rates import Counts


# A record of its own and not a RolloutPhase: the monitor judges probes, which have no rewards.
class JudgedCompletion(NamedTuple):
    """One completion and its judged claims."""

    prompt: Prompt
    completion: Completion
    claims: Sequence[Claim]

    @property
    def num_unsupported(self) -> int:
        """Number of claims that the image does not support."""
        return sum(not claim.is_supported for claim in self.claims)


def judged_completions(
    prompts: Sequence[Prompt],
    groups: Sequence[Sequence[Completion]],
    claims: Sequence[Sequence[Sequence[Claim] | None]],
) -> list[JudgedCompletion]:
    """Return the completions that could be judged, in their order.

    Args:
        prompts: P prompts.
        groups: G completions of each prompt.
        claims: the claims of each completion (P, G), as ``judges.judge_groups`` returns them.
    """
    return [
        JudgedCompletion(prompt, completion, of_completion)
        for prompt, group, of_group in zip(prompts, groups, claims, strict=True)
        for completion, of_completion in zip(group, of_group, strict=True)
        # None: the prompt has no facts, so its claims cannot be judged. An empty list: the completion makes no claim.
        if of_completion is not None
    ]


def claim_counts(judged: Iterable[JudgedCompletion]) -> Counts:
    """Return the number of unsupported claims out of all claims; ``rate`` of it is the hallucination rate."""
    # A ratio of sums: a completion with many claims has more weight than one with few.
    return sum((Counts(each.num_unsupported, len(each.claims)) for each in judged), Counts(0, 0))
