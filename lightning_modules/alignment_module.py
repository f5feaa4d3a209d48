"""Imitation of demonstrations: mean negative log-likelihood of the completion's tokens.

With ``trainable: [adapter]`` this is the alignment stage of modular reassembly (R1V2, arXiv:2504.16656,
section 3.1): gradients flow through the frozen language model to the adapter. With ``[language_model]``
and text-only data it trains a language model.

Shapes: B demonstrations, T completion tokens.
"""

from collections.abc import Sequence

from torch import Tensor

from algorithms import Prompt, PromptError
from lightning_modules.policy_module import PolicyModule


class AlignmentModule(PolicyModule):
    """Trains parts of a policy to continue prompts as demonstrations do."""

    def training_step(self, batch: Sequence[Prompt], batch_idx: int) -> Tensor:
        """Return the loss of a batch of demonstrations."""
        loss = self.demonstration_nll(batch)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch))
        return self.connected(loss)

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Log the loss on held-out demonstrations."""
        self.log("val/loss", self.demonstration_nll(batch), prog_bar=True, batch_size=len(batch))

    def prompt_length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded.

        Raises:
            PromptError: when the model cannot read the prompt together with its completion.
        """
        length, context = super().prompt_length(prompt), self.loaded_policy.context_length
        (completion,) = self.loaded_policy.encoder.completion_ids([prompt.columns["completion"]], [True])
        if context is not None and length + len(completion) > context:
            detail = f"{length} tokens and {len(completion)} of its completion, the model reads {context}"
            raise PromptError(prompt.key, "too many tokens", detail)
        return length

    def demonstration_nll(self, batch: Sequence[Prompt]) -> Tensor:
        """Return the mean negative log-likelihood per token, in nats."""
        texts = [prompt.columns["completion"] for prompt in batch]
        scores, is_completion = self.loaded_policy.text_scores(batch, texts)  # (B, T) each
        # The mean is over all tokens of the batch, so a long demonstration has more weight than a short one.
        return -scores.logps.sum() / is_completion.sum()
