"""The embedded engine: samples from the policy's own module with a batched loop, on any device.

Each prompt is read once, and its key-value cache is copied for its group. Rows that have ended are dropped from the
batch. No weights are copied: the engine reads the learner's weights.

Shapes: A rows in the batch, T completion tokens.
"""

from collections.abc import Sequence

import torch

from algorithms import Completion, Prompt, check_at_least, position_seed
from rollouts.completions import completions_of_tokens
from rollouts.embedded.decode_batch import DecodeBatch
from rollouts.embedded.sampling import group_uniforms, pick_tokens
from rollouts.engine import RolloutEngine, SamplingConfig, no_weights_yet
from rollouts.policy_view import SampledPolicy


class TransformersEngine(RolloutEngine):
    """Samples from a policy in place."""

    def __init__(self, max_rows: int = 512) -> None:
        """Set the batch limit.

        Args:
            max_rows: most completions sampled side by side; bounds the memory of the key-value cache. A group is never
                split, so one group larger than this is sampled whole.

        Raises:
            ConfigError: for a limit below 1.
        """
        check_at_least("model.engine.max_rows", max_rows, 1, "nothing could be sampled")
        self.max_rows = max_rows
        self._policy: SampledPolicy | None = None

    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        """Keep a reference to the policy, whose weights are read at sampling; ``version`` is not needed."""
        del version
        self._policy = policy

    @torch.no_grad()
    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        """Return ``sampling.group_size`` completions for each prompt, in order.

        Raises:
            EngineError: before the first ``sync``.
        """
        if (policy := self._policy) is None:
            raise no_weights_yet(self)
        was_training = policy.training
        # Dropout off: sampled log-probabilities must be the learner's.
        policy.train(False)
        try:
            num_prompts = max(1, self.max_rows // sampling.group_size)
            groups: list[list[Completion]] = []
            # Sharded weights are gathered once for all prompts, not once per token.
            with policy.whole_weights():
                for start in range(0, len(prompts), num_prompts):
                    # Seeded by the place of its first prompt: prompts that come later cannot change the draws of a
                    # batch.
                    chunk_seed = position_seed(seed, "chunk", start)
                    groups += _sample(policy, prompts[start : start + num_prompts], sampling, chunk_seed)
            return groups
        finally:
            policy.train(was_training)


def _sample(
    policy: SampledPolicy, prompts: Sequence[Prompt], sampling: SamplingConfig, seed: int
) -> list[list[Completion]]:
    """Sample the groups of prompts that fit into one batch."""
    size, num_tokens = sampling.group_size, sampling.max_new_tokens
    uniforms = None
    if sampling.temperature > 0.0:
        # (R, T) for all rows at once, so that dropping rows cannot shift the draws of the others.
        uniforms = group_uniforms(seed, len(prompts), group_size=size, num_tokens=num_tokens).to(policy.device)
    batch = DecodeBatch.prefill(policy, prompts, sampling)
    for step in range(num_tokens):
        row_uniforms = None if uniforms is None else uniforms[batch.rows, step]  # (A,)
        batch.record(step, *pick_tokens(batch.logits, row_uniforms))
        if not batch.is_running.any() or step + 1 == num_tokens:
            break
        batch.drop_ended()
        batch.advance()
    completions = completions_of_tokens(policy, *batch.sampled())
    # Rows lie prompt by prompt.
    return [completions[i : i + size] for i in range(0, len(completions), size)]
