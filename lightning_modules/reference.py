"""The reference policy pi_0 of preference losses: the policy as it was before training, in three ways.

    CachedReference       log-probs of every pair computed once, kept on disk beside the pairs: no second model
    FrozenCopyReference   a second model in memory: for pairs that change during training
    LoRAOffReference      the policy with its LoRA layers switched off: a second forward, no second model

All give the same numbers. Shapes: B pairs, N pairs of a data set.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from algorithms import ConfigError, PreferencePair
from lightning_modules.pair_logps import pair_logps
from models import Policy, PolicySource, lora_off

logger = logging.getLogger(__name__)


class Reference:
    """Gives the log-probabilities of pairs under pi_0."""

    scores_any_pair = False
    """Whether it can score pairs that it was not prepared for."""

    def prepare(
        self, source: PolicySource, policy: Policy, weights: str, pairs: Sequence[PreferencePair], folder: Path
    ) -> None:
        """Get ready before the first step.

        Args:
            source: builds pi_0 anew.
            policy: the policy to be trained; its weights may already be those of a checkpoint.
            weights: fingerprint of pi_0.
            pairs: every pair that will be asked for, as far as is known.
            folder: where pairs lie on disk.
        """
        raise TypeError(f"{type(self).__name__} must define prepare()")

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Return sums over the tokens of chosen and rejected completions, in nats."""
        raise TypeError(f"{type(self).__name__} must define logps()")


class CachedReference(Reference):
    """Looks log-probabilities up that were computed once with pi_0."""

    def __init__(self, folder: str | None = None, batch_size: int = 64) -> None:
        """Set the place of the cache.

        Args:
            folder: where caches are kept; null: a folder ``reference_logps`` beside the pairs.
            batch_size: pairs in one forward while the cache is made.
        """
        self.folder, self.batch_size = folder, batch_size
        self._logps: dict[str, Tensor] = {}

    def prepare(
        self, source: PolicySource, policy: Policy, weights: str, pairs: Sequence[PreferencePair], folder: Path
    ) -> None:
        """Read the cache, or make it with a policy that is built for that and then dropped."""
        place = Path(self.folder).expanduser() if self.folder else folder / "reference_logps"
        file = place / f"{cache_key(weights, pairs)}.safetensors"
        if not file.is_file():
            # Built anew and not taken from the policy: a resumed run has its trained weights already.
            logps = self._compute(_build(source).to(policy.device), pairs)
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_suffix(f".draft-{os.getpid()}")
            save_file({"logps": logps}, draft)
            draft.replace(file)  # ranks that came here too write the same
        logps = load_file(file)["logps"]
        self._logps = {pair_digest(pair): row for pair, row in zip(pairs, logps, strict=True)}
        logger.info("reference log-probabilities of %d pairs: %s", len(pairs), file)

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Look the pairs up."""
        return torch.stack([self._logps[pair_digest(pair)] for pair in pairs]).to(policy.device)

    @torch.no_grad()
    def _compute(self, reference: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "N 2"]:
        reference.eval()
        starts = range(0, len(pairs), self.batch_size)
        batches = [pairs[start : start + self.batch_size] for start in starts]
        tracked = track(batches, "Reference log-probabilities", transient=True)
        return torch.cat([pair_logps(reference, batch).logps for batch in tracked]).cpu()


class FrozenCopyReference(Reference):
    """Keeps pi_0 in memory."""

    scores_any_pair = True

    def __init__(self) -> None:
        """Wait for the policy."""
        self._reference: Policy | None = None

    def prepare(
        self, source: PolicySource, policy: Policy, weights: str, pairs: Sequence[PreferencePair], folder: Path
    ) -> None:
        """Build pi_0 anew: a resumed run has its trained weights already."""
        reference = _build(source).to(policy.device)
        reference.requires_grad_(False)
        self._reference = reference.eval()

    @torch.no_grad()
    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Score the pairs with the copy."""
        assert self._reference is not None, "prepare() comes first"
        return pair_logps(self._reference, pairs).logps


class LoRAOffReference(Reference):
    """Switches LoRA off, which leaves pi_0 as long as nothing but LoRA layers learn."""

    scores_any_pair = True

    def prepare(
        self, source: PolicySource, policy: Policy, weights: str, pairs: Sequence[PreferencePair], folder: Path
    ) -> None:
        """Make sure that pi_0 is what is left without LoRA."""
        learning = [name for name, parameter in policy.named_parameters() if parameter.requires_grad]
        if others := [name for name in learning if ".lora_" not in name]:
            raise ConfigError(
                f"model.reference LoRAOffReference needs a policy in which only LoRA layers learn, but {len(others)} "
                f"of {len(learning)} learning tensors are not LoRA's, such as {others[0]}: set model.lora and "
                "model.trainable: [], or use CachedReference."
            )

    @torch.no_grad()
    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Score the pairs without LoRA."""
        with lora_off(policy.model):
            return pair_logps(policy, pairs).logps


def _build(source: PolicySource) -> Policy:
    if not source.is_repeatable:
        raise ConfigError(
            f"model.policy {type(source).__name__} draws fresh weights whenever it is built, so there is no reference "
            "to go back to: align and export it first, then use models.PretrainedPolicy."
        )
    return source.build()


def pair_digest(pair: PreferencePair) -> str:
    """Return a name for what the log-probabilities of a pair depend on, besides the policy."""
    prompt = pair.prompt
    images = [repr(image) for image in prompt.images]
    parts = [prompt.question, prompt.prefill, pair.chosen, pair.rejected, pair.rejected_ended, images]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def fingerprint(policy: Policy) -> str:
    """Return a name for a policy's weights, LoRA apart.

    Of each tensor up to 64 evenly spaced numbers and the sum are looked at, so that 38B parameters take seconds.
    """
    digest = hashlib.blake2b(digest_size=12)
    for name, tensor in policy.model.state_dict().items():
        if ".lora_" not in name:
            flat = tensor.detach().flatten()
            sample = flat[:: max(1, flat.numel() // 64)].double().tolist()
            told = (name.replace(".base_layer.", "."), tuple(tensor.shape), sample, flat.double().sum().item())
            digest.update(repr(told).encode())
    return digest.hexdigest()


def cache_key(weights: str, pairs: Sequence[PreferencePair]) -> str:
    """Return a name for the fingerprint of a policy and a list of pairs."""
    return hashlib.blake2b("".join([weights, *map(pair_digest, pairs)]).encode(), digest_size=12).hexdigest()
