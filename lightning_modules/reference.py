"""The reference policy pi_0 of preference losses: the policy as it was before training, in three ways.

    CachedReference       log-probs of every pair computed once, kept beside the pairs: no second model while training
    FrozenCopyReference   a second model in memory: for pairs that change during training
    LoRAOffReference      the policy with its LoRA layers switched off: a second forward, no second model

All give the same numbers. Shapes: B pairs, N pairs of a data set.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from jaxtyping import Float
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from algorithms import ConfigError, ImageReference, PreferencePair
from lightning_modules.pair_logps import pair_logps
from models import Policy, PolicySource, Sharding, build_policy, lora_apart, lora_off, stream_weights
from rollouts import gather_ranks, own_place

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Start:
    """The policy at the start of training, and what it will be compared on."""

    source: PolicySource
    """Builds pi_0 anew; the policy itself may already have the weights of a checkpoint."""

    policy: Policy
    weights: str
    """Fingerprint of pi_0 and of the precision it computes in."""

    pairs: Sequence[PreferencePair]
    """Every pair that will be asked for, as far as is known."""

    folder: Path
    """Where pairs lie on disk."""

    pairs_per_forward: int | None
    convert: Callable[[nn.Module], nn.Module]
    """Brings a model into the precision of training."""

    sharding: Sharding | None = None
    """How weights are spread over ranks; pi_0's like the policy's."""

    @staticmethod
    def without_pairs(
        source: PolicySource, policy: Policy, convert: Callable[[nn.Module], nn.Module], sharding: Sharding | None
    ) -> "Start":
        """Return the start of a training that compares completions of its own."""
        return Start(
            source=source,
            policy=policy,
            weights="",
            pairs=(),
            folder=Path(),
            pairs_per_forward=None,
            convert=convert,
            sharding=sharding,
        )

    def build(self) -> Policy:
        """Return pi_0 anew, as it would compute in training.

        Raises:
            ConfigError: when the source draws fresh weights at every build.
        """
        if not self.source.is_repeatable:
            raise ConfigError(
                f"model.policy {type(self.source).__name__} draws fresh weights whenever it is built, so there is no "
                "reference to go back to: align and export it first, then use models.PretrainedPolicy."
            )
        reference = build_policy(self.source, lambda policy: policy.requires_grad_(False), self.sharding)
        self.convert(reference)
        return reference.to(self.policy.device).eval()


class Reference:
    """Gives the log-probabilities of pairs under pi_0."""

    scores_any_pair = False
    """Whether it can score pairs that it was not prepared for."""

    needs_fingerprint = False
    """Whether it must know which weights pi_0 has."""

    def prepare(self, start: Start) -> None:
        """Get ready before the first step."""
        raise TypeError(f"{type(self).__name__} must define prepare()")

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Return sums over the tokens of chosen and rejected completions, in nats."""
        raise TypeError(f"{type(self).__name__} must define logps()")


class CachedReference(Reference):
    """Looks log-probabilities up that were computed once with pi_0."""

    needs_fingerprint = True

    def __init__(self, folder: str | None = None, batch_size: int = 64) -> None:
        """Set the place of the cache.

        Args:
            folder: where caches are kept; null: a folder ``reference_logps`` beside the pairs.
            batch_size: pairs in one forward while the cache is made; at most model.pairs_per_forward.
        """
        self.folder, self.batch_size = folder, batch_size
        self._logps: dict[str, Tensor] = {}

    def prepare(self, start: Start) -> None:
        """Read the cache, or make it with a second policy that is dropped afterwards."""
        place = Path(self.folder).expanduser() if self.folder else start.folder / "reference_logps"
        digests = [pair_digest(pair) for pair in start.pairs]
        file = place / f"{_digest([start.weights, *digests])}.safetensors"
        # Ranks must agree, for they compute together; each writes, for nodes may have disks of their own.
        if not all(gather_ranks(file.is_file())):
            logps = self._compute(start)
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_suffix(f".draft-{uuid4().hex}")
            save_file({"logps": logps}, draft)
            draft.replace(file)  # ranks that came here too write the same
        logps = load_file(file)["logps"]
        self._logps = dict(zip(digests, logps, strict=True))
        logger.info("reference log-probabilities of %d pairs: %s", len(start.pairs), file)

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Look the pairs up."""
        return torch.stack([self._logps[pair_digest(pair)] for pair in pairs]).to(policy.device)

    @torch.no_grad()
    def _compute(self, start: Start) -> Float[Tensor, "N 2"]:
        """Score every pair once; rank r of R those with number r, r + R, ..."""
        reference = start.build()
        rank, world_size = own_place()
        # As many for every rank: some score one that counts for another rank.
        own = list(start.pairs[rank::world_size])
        if len(own) < -(-len(start.pairs) // world_size):
            own.append(start.pairs[0])
        size = min(self.batch_size, start.pairs_per_forward or self.batch_size)
        batches = [own[first : first + size] for first in range(0, len(own), size)]
        tracked = track(batches, "Reference log-probabilities", transient=True, disable=rank != 0)
        logps = torch.cat([pair_logps(reference, batch).logps for batch in tracked]).cpu()
        return torch.stack(gather_ranks(logps), dim=1).flatten(0, 1)[: len(start.pairs)]


class PolicyReference(Reference):
    """A reference that is there as a policy, and so can score anything at any time."""

    scores_any_pair = True
    _pairs_per_forward: int | None = None

    def prepare(self, start: Start) -> None:
        """Remember how much one forward may hold."""
        self._pairs_per_forward = start.pairs_per_forward

    def acting(self, policy: Policy) -> AbstractContextManager[Policy]:
        """Give pi_0 for the time of the context."""
        raise TypeError(f"{type(self).__name__} must define acting()")

    @torch.no_grad()
    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Score the pairs with pi_0."""
        with self.acting(policy) as reference:
            return pair_logps(reference, pairs, pairs_per_forward=self._pairs_per_forward).logps


class FrozenCopyReference(PolicyReference):
    """Keeps pi_0 in memory."""

    def __init__(self) -> None:
        """Wait for the policy."""
        self._reference: Policy | None = None

    def prepare(self, start: Start) -> None:
        """Build pi_0."""
        super().prepare(start)
        self._reference = start.build()

    def acting(self, policy: Policy) -> AbstractContextManager[Policy]:
        """Give the copy."""
        assert self._reference is not None, "prepare() comes first"
        return nullcontext(self._reference)


class LoRAOffReference(PolicyReference):
    """Switches LoRA off, which leaves pi_0 as long as nothing but LoRA layers learn."""

    def prepare(self, start: Start) -> None:
        """Make sure that pi_0 is what is left without LoRA."""
        super().prepare(start)
        learning = [name for name, parameter in start.policy.named_parameters() if parameter.requires_grad]
        if others := [name for name in learning if ".lora_" not in name]:
            raise ConfigError(
                f"model.reference LoRAOffReference needs a policy in which only LoRA layers learn, but {len(others)} "
                f"of {len(learning)} learning tensors are not LoRA's, such as {others[0]}: set model.learning.lora and "
                "model.learning.trainable: [], or use CachedReference."
            )

    @contextmanager
    def acting(self, policy: Policy) -> Iterator[Policy]:
        """Give the policy without LoRA."""
        with lora_off(policy.model):
            yield policy


def pair_digest(pair: PreferencePair) -> str:
    """Return a name for what the log-probabilities of a pair depend on, besides the policy."""
    prompt = pair.prompt
    images = [_image_name(image) for image in prompt.images]
    return _digest([prompt.question, prompt.prefill, pair.chosen, pair.rejected, pair.rejected_ended, images])


def fingerprint(policy: Policy) -> str:
    """Return a name for a policy's weights, LoRA apart, and for how it reads text and images.

    Of each tensor the sum and up to 64 evenly spaced numbers are looked at, because hashing 38B parameters is slow.
    Sharded weights are gathered for it tensor by tensor, in a collective call.
    """
    told: list[Any] = []
    with lora_apart(policy.model):
        for name, tensor in stream_weights(policy.model):
            flat = tensor.flatten()
            sample = flat[:: max(1, flat.numel() // 64)].tolist()
            told.append([name, list(tensor.shape), sample, flat.double().sum().item()])
    encoder = policy.encoder
    images = getattr(encoder.processor, "image_processor", None)
    told += [encoder.tokenizer.chat_template, len(encoder.tokenizer), images.to_json_string() if images else None]
    return _digest(told)


def _image_name(image: ImageReference) -> list[Any]:
    """Return the reference and, of a file, size and time: images drawn anew keep their names."""
    path = getattr(image, "path", None)
    stat = path.stat() if isinstance(path, Path) else None
    return [repr(image), stat.st_size, stat.st_mtime_ns] if stat else [repr(image)]


def _digest(told: Sequence[Any]) -> str:
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()
