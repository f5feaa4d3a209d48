"""Imitation of demonstrations: mean negative log-likelihood of the completion's tokens.

With ``trainable: [adapter]`` this is the alignment stage of modular reassembly (R1V2, arXiv:2504.16656,
section 3.1): gradients pass through the frozen language model to the adapter. With ``[language_model]``
and text-only data it makes a language model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from algorithms import Completion, Prompt, Rollout, stack_rollouts
from lightning_modules.policy_module import OptimizerConfig, PolicyModule
from models import PolicySource


class AlignmentModule(PolicyModule):
    """Trains parts of a policy to continue prompts as demonstrated."""

    def __init__(self, policy: PolicySource, trainable: list[str], optimizer: OptimizerConfig) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            trainable: parts that learn, any of ``vision_tower``, ``adapter``, ``language_model``.
            optimizer: learning rate and schedule.
        """
        super().__init__(policy, trainable, optimizer)

    def training_step(self, batch: Sequence[Prompt], batch_idx: int) -> Tensor:
        """Return the loss of a batch of demonstrations."""
        loss = self.demonstration_nll(batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Log the loss on held-out demonstrations."""
        self.log("val/loss", self.demonstration_nll(batch), prog_bar=True, batch_size=len(batch))

    def demonstration_nll(self, batch: Sequence[Prompt]) -> Tensor:
        """Return the mean negative log-likelihood per token, in nats."""
        policy = self.loaded_policy
        rows = stack_rollouts([self._as_rollout(prompt) for prompt in batch])
        scores = policy.completion_scores(batch, torch.arange(len(batch)), rows.completion_ids, rows.is_completion)
        return -scores.logps.sum() / rows.is_completion.sum()

    def _as_rollout(self, prompt: Prompt) -> Rollout:
        policy = self.loaded_policy
        text = prompt.columns["completion"]
        ids = policy.encoder.tokenizer(text, add_special_tokens=False)["input_ids"] + [policy.end_token_id]
        completion = Completion(
            token_ids=torch.tensor(ids), behavior_logps=torch.zeros(len(ids)), text=text, finish_reason="stop"
        )
        return Rollout(
            prompt_uid=prompt.uid, completion=completion, policy_version=0, reward_parts={}, reward=0.0, advantage=0.0
        )
