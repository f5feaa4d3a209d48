"""The base class of references, and the context from which they are built. Shapes: B pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from algorithms import ConfigError, PreferencePair
from lightning_modules.precision import same_types
from models import Policy, PolicySource, Sharding, build_policy


@dataclass(frozen=True, kw_only=True)
class ReferenceContext:
    """The policy before its first optimizer step, and the pairs that its reference will score."""

    source: PolicySource
    """Builds pi_0 again: in a resumed run ``policy`` may already have the weights of the checkpoint."""

    policy: Policy
    """The policy that is trained."""

    convert: Callable[[nn.Module], nn.Module]
    """Brings a model into the precision of training."""

    sharding: Sharding | None = None
    """How the weights of policy and pi_0 are spread over ranks. None: weights are not sharded."""

    weights: str = ""
    """Fingerprint of pi_0 and of its precision; empty unless ``Reference.needs_fingerprint``."""

    pairs: Sequence[PreferencePair] = ()
    """The pairs that are known before training; empty where completions are sampled during training."""

    # Every run on these pairs has the same folder, so that later runs find the cache.
    folder: Path = Path()
    """Folder for caches about the pairs."""

    pairs_per_forward: int | None = None
    """Most pairs in one forward; None: any number."""

    def build(self) -> Policy:
        """Return pi_0, frozen, on the device and in the precision of the policy.

        Raises:
            ConfigError: when the source draws fresh weights at every build.
        """
        if not self.source.is_repeatable:
            raise ConfigError(
                f"model.policy {type(self.source).__name__} draws fresh weights whenever it is built, so there is no "
                "reference to go back to: align and export it first, then use models.PretrainedPolicy."
            )
        # Built without LoRA: a fresh update adds zero, so pi_0 is the plain model.
        reference = build_policy(self.source, self._prepare, self.sharding)
        self.convert(reference)
        # Eval mode switches dropout off, so that pi_0 gives the same numbers in every forward.
        return reference.to(self.policy.device).eval()

    def _prepare(self, reference: Policy) -> None:
        """Freeze pi_0 and give it the dtypes of the policy, so that both compute the same before the first step."""
        reference.requires_grad_(False)
        same_types(reference, like=self.policy)


class Reference:
    """Gives the log-probabilities of pairs under pi_0."""

    scores_any_pair = False
    """Whether ``logps`` can score pairs that were not known to ``prepare``."""

    needs_fingerprint = False
    """Whether ``prepare`` needs the fingerprint of pi_0's weights."""

    def prepare(self, context: ReferenceContext) -> None:
        """Get ready before the first step."""
        raise TypeError(f"{type(self).__name__} must define prepare()")

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Return the sum of log-probabilities (nats) over the tokens of each chosen and each rejected completion.

        Args:
            policy: the policy that is trained.
            pairs: B pairs.
        """
        raise TypeError(f"{type(self).__name__} must define logps()")
