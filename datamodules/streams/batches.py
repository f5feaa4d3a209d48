"""Divides the prompts or pairs of a split among ranks: in a fixed order, every prompt exactly once.

With R ranks, rank r gets prompts r, r + R, r + 2R, ... Ranks get equal numbers of batches if this is possible without
an empty batch, because a collective call in a step blocks until every rank makes it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from algorithms.records import PreferencePair, Prompt

Row = Prompt | PreferencePair


class PromptBatch:
    """The prompts of one batch, on their way through Lightning.

    The class is neither a ``Sequence`` nor a dataclass: Lightning rebuilds these when it moves or casts a batch, and
    raises errors at frozen records. The data module gives the steps a plain list.
    """

    def __init__(self, prompts: Sequence[Row]) -> None:
        """Hold the prompts, in order."""
        self.prompts = list(prompts)

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.prompts)


class PromptBatches(Dataset[PromptBatch]):
    """One rank's batches, in order."""

    def __init__(self, prompts: Sequence[Row], batch_size: int, rank: int = 0, num_ranks: int = 1) -> None:
        """Divide the prompts among ranks.

        Args:
            prompts: the prompts of the split, the same on every rank.
            batch_size: largest number of prompts in a batch, on one rank.
            rank: number of this share.
            num_ranks: number of shares.
        """
        share = prompts[rank::num_ranks]
        batches = [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
        # Rank 0 may have one prompt more and therefore one batch more; then this rank splits its last batch in two.
        num_batches = -(-len(prompts[::num_ranks]) // batch_size)
        if batches and len(batches) < num_batches and batch_size > 1:
            last = batches.pop()
            batches += [last[: len(last) // 2], last[len(last) // 2 :]]
        self.batches = [PromptBatch(batch) for batch in batches]

    def without(self, uids: Collection[int]) -> "PromptBatches":
        """Leave out batches whose rows are all among these, except the last batch.

        A batch that was answered in part is answered again as a whole, because the completions of a prompt depend on
        its batch.
        """
        # Without batches Lightning would skip prediction, and also the hooks in which callbacks write their results.
        kept = [batch for batch in self.batches[:-1] if not all(row.uid in uids for row in batch)]
        self.batches = kept + self.batches[-1:]
        return self

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> PromptBatch:
        return self.batches[index]

    def loader(self) -> DataLoader[PromptBatch]:
        """Return a loader without workers: a prompt holds no pixels, so there is nothing to prefetch."""
        # A distributed sampler with a single share: with a sampler of another class Lightning would divide the batches
        # again.
        in_order = DistributedSampler(self, num_replicas=1, rank=0, shuffle=False)
        # A loader draws a seed when it starts. With a generator of its own, validation does not advance the global one.
        chance = torch.Generator()
        # batch_size None: an item is a whole batch already.
        return DataLoader(
            self, batch_size=None, sampler=in_order, num_workers=0, collate_fn=_as_it_is, generator=chance
        )


def _as_it_is(batch: Any) -> Any:
    return batch
