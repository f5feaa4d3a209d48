"""The base of all modules that train a policy: its weights, the parts that learn, and their optimizer."""

from typing import Any

import torch
from torch import Tensor

from algorithms import Prompt
from lightning_modules.learner import LearnerModule
from lightning_modules.learning import LearningConfig, build_optimizer
from lightning_modules.precision import check_precision, check_types, learn_in_32_bits
from lightning_modules.strategy import check_equal_batches, sharding_of
from models import Policy, PolicySource, add_lora, build_policy, is_sharded, save_pretrained


class PolicyModule(LearnerModule):
    """Owns a policy. Subclasses add the training step."""

    def __init__(self, policy: PolicySource, learning: LearningConfig = LearningConfig()) -> None:  # noqa: B008  (frozen)
        """Remember the settings; weights load in ``configure_model``.

        Args:
            policy: where the policy comes from.
            learning: which weights learn, and how.
        """
        super().__init__()
        self.policy_source, self.learning = policy, learning
        self.skip_nonfinite = learning.skip_nonfinite
        self.policy: Policy | None = None

    @property
    def loaded_policy(self) -> Policy:
        """The policy; the first access builds it."""
        # Data modules count the tokens of prompts in setup, before Lightning calls configure_model.
        self.configure_model()
        assert self.policy is not None
        return self.policy

    def configure_model(self) -> None:
        """Build the policy once, freeze the parts that do not learn, and shard it if the strategy shards.

        Lightning calls this for every stage of a run.

        Raises:
            ConfigError: for a precision in which the weights that learn would lose their updates, and for a source that
                cannot be built.
        """
        if self.policy is not None:
            return
        low_is_allowed = self.learning.allow_low_precision
        # ``trainer`` would raise an error without a trainer, for example in a notebook.
        if (self.learning.trainable or self.learning.lora) and not low_is_allowed:
            check_precision(self._trainer, may_insist=True)
        sharding = sharding_of(self._trainer)
        policy = build_policy(self.policy_source, self._prepare, sharding)
        # Sharded weights are all gathered in one dtype.
        if sharding is None and not low_is_allowed:
            check_types(policy, self._trainer)
        self.policy = policy

    def _prepare(self, policy: Policy) -> None:
        """Freeze what does not learn, add LoRA, and convert what learns to 32 bits; sharded weights come later."""
        policy.requires_grad_(False)
        if self.learning.trainable:
            policy.set_trainable(self.learning.trainable)
        if self.learning.lora is not None:
            add_lora(policy.model, self.learning.lora)
        if self.learning.recompute_activations:
            policy.recompute_activations()
        if not self.learning.allow_low_precision:
            learn_in_32_bits(policy)
        # transformers loads models in eval mode. This sets the mode of each part again; frozen parts stay in eval mode.
        policy.train(policy.training)

    def configure_optimizers(self) -> Any:
        """AdamW on the trainable parts."""
        return build_optimizer(self, self.learning.optimizer)

    def on_validation_start(self) -> None:
        """Refuse different numbers of batches on ranks that share weights."""
        check_equal_batches(self.trainer, "validation", self.trainer.num_val_batches)

    def on_test_start(self) -> None:
        """Refuse different numbers of batches on ranks that share weights."""
        check_equal_batches(self.trainer, "test", self.trainer.num_test_batches)

    def on_predict_start(self) -> None:
        """Refuse different numbers of batches on ranks that share weights."""
        check_equal_batches(self.trainer, "predict", self.trainer.num_predict_batches)

    def connected(self, loss: Tensor) -> Tensor:
        """Return the same loss, connected to every learning parameter where ranks average gradients.

        A micro-batch without images gives the adapter no gradient, but DistributedDataParallel blocks until every
        parameter has one. Sharded policies need no change: they read a blank image instead.
        """
        if self.trainer.world_size == 1 or is_sharded(self.loaded_policy):
            return loss
        return loss + torch.stack([p.sum() * 0.0 for p in self.parameters() if p.requires_grad]).sum()

    def prompt_length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded; data modules leave out longer ones."""
        return self.loaded_policy.encoder.length(prompt)

    @property
    def longest_prompt(self) -> int | None:
        """Most tokens of a prompt that leave room for a completion in the model's context; None: unknown."""
        context = self.loaded_policy.context_length
        return None if context is None else context - self.completion_room

    @property
    def completion_room(self) -> int:
        """Tokens that are kept free behind every prompt."""
        return 1

    def save_pretrained(self, folder: str) -> None:
        """Write the policy in Hugging Face format, with LoRA merged; a collective call where weights are sharded."""
        save_pretrained(self.loaded_policy, folder, is_writer=self.trainer.is_global_zero)
