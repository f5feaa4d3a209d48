"""Rewards that depend on the length of a completion only."""

from collections.abc import Sequence

import torch

from algorithms.errors import ConfigError
from algorithms.grpo.overlong import overlong_penalty
from algorithms.records import Completion, Prompt


class OverlongReward:
    """0 for completions of ordinary length; falls to -1 as the length gets near the limit (DAPO's soft punishment)."""

    def __init__(self, max_tokens: int, soft_tokens: int) -> None:
        """Keep the limits.

        Args:
            max_tokens: length that gets -1; usually model.sampling.max_new_tokens. DAPO 20480.
            soft_tokens: width of the zone before it. DAPO 4096.
        """
        # A zone of width 0 would divide by zero.
        if not 0 < soft_tokens <= max_tokens:
            raise ConfigError(
                f"soft_tokens of the overlong reward must lie between 1 and max_tokens = {max_tokens}, got "
                f"{soft_tokens}: it is the last stretch before the limit."
            )
        self.max_tokens, self.soft_tokens = max_tokens, soft_tokens

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion."""
        del prompts
        lengths = torch.tensor([len(completion.token_ids) for completion in completions], dtype=torch.long)
        return overlong_penalty(lengths, max_tokens=self.max_tokens, soft_tokens=self.soft_tokens).tolist()
