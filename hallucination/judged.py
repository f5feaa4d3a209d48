"""Completions with their judged claims, and the one definition of the hallucination rate.

    hallucination rate = unsupported claims / all claims            (CHAIR_i, arXiv:1809.02156)

Evaluation, the log of rollouts, the monitor, pictures of completions and files of predictions all use these functions.

Shapes: P prompts, G completions per prompt.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from algorithms.records import Claim, Completion, Prompt
from hallucination.rates import Counts


class JudgedCompletion(NamedTuple):
    """One completion and its claims."""

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
    """Return the completions whose image the judge knows, in their order.

    Args:
        prompts: P prompts.
        groups: G completions of each prompt.
        claims: claims of each completion, as ``judges.judge_groups`` returns them.
    """
    return [
        JudgedCompletion(prompt, completion, of_completion)
        for prompt, group, of_group in zip(prompts, groups, claims, strict=True)
        for completion, of_completion in zip(group, of_group, strict=True)
        if of_completion is not None
    ]


def claim_counts(judged: Iterable[JudgedCompletion]) -> Counts:
    """Return the unsupported claims out of all claims; the rate of these counts is the hallucination rate."""
    return sum((Counts(each.num_unsupported, len(each.claims)) for each in judged), Counts(0, 0))
