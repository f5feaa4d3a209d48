"""Reference log-probabilities that are computed once and kept on disk.

Shapes: B pairs, N pairs of a data set, R ranks.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from rich import get_console
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor

from algorithms import PreferencePair
from lightning_modules.pair_logps import pair_logps
from lightning_modules.references.fingerprints import digest, pair_fingerprint
from lightning_modules.references.reference import Reference, ReferenceContext
from models import Policy
from rollouts import gather_ranks, rank_and_world_size
from storage import whole_file

logger = logging.getLogger(__name__)


class CachedReference(Reference):
    """Looks up log-probabilities that pi_0 computed once."""

    needs_fingerprint = True

    def __init__(self, folder: str | None = None, batch_size: int = 64) -> None:
        """Set the place of the cache.

        Args:
            folder: folder of the caches; null: ``reference_logps`` in the notes of these pairs, which lie in
                ``runs/notes/``, or beside pairs that the project has drawn.
            batch_size: pairs in one forward while the cache is made; at most model.pairs_per_forward.
        """
        self.folder, self.batch_size = folder, batch_size
        self._logps: dict[str, Tensor] = {}

    def prepare(self, context: ReferenceContext) -> None:
        """Read the cache, or compute it with a second policy, which is deleted afterwards."""
        folder = Path(self.folder).expanduser() if self.folder else context.folder / "reference_logps"
        names = [pair_fingerprint(pair) for pair in context.pairs]
        file = folder / f"{digest([context.weights, *names])}.safetensors"
        # All ranks compute when the file is missing on one of them, because computing is collective.
        if not all(gather_ranks(file.is_file())):
            logps = self._compute(context)
            # Every rank writes, because each node may have a disk of its own. All ranks write the same numbers.
            with whole_file(file) as draft:
                save_file({"logps": logps}, draft)
        logps = load_file(file)["logps"]  # (N, 2)
        self._logps = dict(zip(names, logps, strict=True))
        logger.info("reference log-probabilities of %d pairs: %s", len(context.pairs), file)

    def logps(self, policy: Policy, pairs: Sequence[PreferencePair]) -> Float[Tensor, "B 2"]:
        """Return the stored log-probabilities of the pairs."""
        return torch.stack([self._logps[pair_fingerprint(pair)] for pair in pairs]).to(policy.device)

    @torch.no_grad()
    def _compute(self, context: ReferenceContext) -> Float[Tensor, "N 2"]:
        """Score every pair once: rank r scores the pairs r, r + R, r + 2R and so on."""
        reference = context.build()
        rank, world_size = rank_and_world_size()
        own = list(context.pairs[rank::world_size])
        # Every rank scores ceil(N / R) pairs, because all ranks gather sharded weights together.
        if len(own) < -(-len(context.pairs) // world_size):
            own.append(context.pairs[0])
        size = min(self.batch_size, context.pairs_per_forward or self.batch_size)
        batches = [own[first : first + size] for first in range(0, len(own), size)]
        tracked = track(
            batches, "Reference log-probabilities", transient=True, disable=rank != 0 or not get_console().is_terminal
        )
        logps = torch.cat([pair_logps(reference, batch).logps for batch in tracked]).cpu()  # (ceil(N / R), 2)
        # (ceil(N / R), R, 2) -> the order of the pairs, with the extra ones last -> (N, 2)
        return torch.stack(gather_ranks(logps), dim=1).flatten(0, 1)[: len(context.pairs)]
