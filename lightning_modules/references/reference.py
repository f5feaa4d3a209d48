"""What every reference does, and what it is built from. Shapes: B pairs."""

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
    """Builds pi_0 again. In a resumed run ``policy`` may have the weights of the checkpoint already."""

    policy: Policy
    """The policy that is trained."""

    convert: Callable[[nn.Module], nn.Module]
    """Brings a model into the precision of training."""

    sharding: Sharding | None = None
    """How the weights of the policy are spread over ranks; those of pi_0 are spread alike. None: not at all."""

    weights: str = ""
    """Fingerprint of pi_0 and of the precision it computes in; only where ``Reference.needs_fingerprint``."""

    pairs: Sequence[PreferencePair] = ()
    """The pairs that are known before training; empty where completions are sampled during training."""

    # The same for every run on these pairs, so that a later one finds the cache.
    folder: Path = Path()
    """Where caches about the pairs go."""

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
        # Without LoRA: a fresh update adds zero, so pi_0 is the plain model.
        reference = build_policy(self.source, self._prepare, self.sharding)
        self.convert(reference)
        # No dropout: pi_0 must give the same numbers in every forward.
        return reference.to(self.policy.device).eval()

    def _prepare(self, reference: Policy) -> None:
        """Freeze pi_0, in the types of the policy, so that both compute the same numbers before the first step."""
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
