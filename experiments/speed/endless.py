"""A policy and a reward for benchmarks of GRPO: completions never end, and all rewards differ.

So every completion has the same number of tokens, and every completion has an advantage and is used for learning.
"""

import zlib
from collections.abc import Sequence

import torch

from algorithms import Completion, Prompt
from models import Policy, PretrainedPolicy


class EndlessPolicy(PretrainedPolicy):
    """A policy that never ends its turn, so that all completions are as long as they may be."""

    def build(self) -> Policy:
        """Load the policy and ban its end-of-turn tokens, in engine and learner alike."""
        return without_end(super().build())


def without_end(policy: Policy) -> Policy:
    """Add the end-of-turn tokens to the tokens that no completion of a policy may hold."""
    ends = torch.tensor(policy.end_token_ids).to(policy.banned_token_ids)
    policy.banned_token_ids = torch.cat([policy.banned_token_ids, ends])
    return policy


def checksum(text: str) -> float:
    """Return a number that differs between texts, so that every completion has an advantage."""
    return zlib.crc32(text.encode()) / 2**32


class ChecksumReward:
    """The trivial reward of the benchmarks."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        return [checksum(completion.text) for completion in completions]
