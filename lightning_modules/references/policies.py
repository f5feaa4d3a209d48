"""References that hold a policy, so that they can score any completion at any time. Shapes: B pairs."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from algorithms import ConfigError, PreferencePair
from lightning_modules.pair_logps import pair_logps
from lightning_modules.references.reference import Reference, ReferenceContext
from models import Policy, lora_off


class PolicyReference(Reference):
    """A reference that computes log-probabilities with pi_0 itself. GRPO's KL penalty needs one."""

    scores_any_pair = True
    _pairs_per_forward: int | None = None

    def prepare(self, context: ReferenceContext) -> None:
        """Remember how many pairs one forward may hold."""
        self._pairs_per_forward = context.pairs_per_forward

    def as_policy(self, policy: Policy) -> AbstractContextManager[Policy]:
        """Return a context that gives pi_0; ``policy`` must not be used inside of it.

        Args:
            policy: the policy that is trained; a reference may switch parts of it off meanwhile.
        """
        raise TypeError(f"{type(self).__name__} must define as_policy()")

    @torch.no_grad()
    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Score the pairs with pi_0."""
        with self.as_policy(policy) as reference:
            return pair_logps(reference, pairs, pairs_per_forward=self._pairs_per_forward).logps


class FrozenCopyReference(PolicyReference):
    """Keeps pi_0 in memory beside the policy."""

    def __init__(self) -> None:
        """Start without pi_0, which ``prepare`` builds."""
        # A reference is no ``nn.Module``, so torch does not register pi_0 as a part of the training module, and pi_0
        # gets into neither checkpoints nor the optimizer.
        self._reference: Policy | None = None

    def prepare(self, context: ReferenceContext) -> None:
        """Build pi_0."""
        super().prepare(context)
        self._reference = context.build()

    def as_policy(self, policy: Policy) -> AbstractContextManager[Policy]:
        """Return a context that gives the copy."""
        assert self._reference is not None, "prepare() comes first"
        return nullcontext(self._reference)


class LoRAOffReference(PolicyReference):
    """Switches LoRA off; the policy is then pi_0, as long as only LoRA layers learn."""

    def prepare(self, context: ReferenceContext) -> None:
        """Check that the policy without LoRA is pi_0.

        Raises:
            ConfigError: when tensors learn that do not belong to LoRA.
        """
        super().prepare(context)
        learning = [name for name, parameter in context.policy.named_parameters() if parameter.requires_grad]
        # peft names its tensors lora_A, lora_B, lora_embedding_A and so on.
        if not_lora := [name for name in learning if ".lora_" not in name]:
            raise ConfigError(
                f"model.reference LoRAOffReference needs a policy in which only LoRA layers learn, but {len(not_lora)} "
                f"of {len(learning)} learning tensors are not LoRA's, such as {not_lora[0]}: set model.learning.lora "
                "and model.learning.trainable: [], or use CachedReference."
            )

    @contextmanager
    def as_policy(self, policy: Policy) -> Iterator[Policy]:
        """Give the policy without LoRA until the context ends."""
        with lora_off(policy.model):
            yield policy
