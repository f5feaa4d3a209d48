"""How the prompts, or pairs, of a split are dealt out to the ranks: in a fixed order, every prompt once, none twice.

With R ranks, rank r gets prompts r, r + R, r + 2R, ... Ranks get the same number of batches wherever that is possible
without an empty batch, because collective calls in a step block until every rank makes them.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from algorithms.records import PreferencePair, Prompt

Row = Prompt | PreferencePair


class PromptBatch:
    """The prompts of one batch, on their way through Lightning.

    Neither a ``Sequence`` nor a dataclass: Lightning rebuilds those when it moves or casts a batch, and raises at
    frozen records. The data module gives the steps a plain list.
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
        """Deal out the prompts.

        Args:
            prompts: the prompts of the split, the same on every rank.
            batch_size: largest number of prompts in a batch, on one rank.
            rank: which share to take.
            num_ranks: number of shares.
        """
        share = prompts[rank::num_ranks]
        batches = [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
        # Rank 0 may have one prompt more than this rank, and so one batch more: then this rank halves its last batch.
        num_batches = -(-len(prompts[::num_ranks]) // batch_size)
        if batches and len(batches) < num_batches and batch_size > 1:
            last = batches.pop()
            batches += [last[: len(last) // 2], last[len(last) // 2 :]]
        self.batches = [PromptBatch(batch) for batch in batches]

    def without(self, uids: Collection[int]) -> "PromptBatches":
        """Leave out the batches all of whose rows are among these, except the last batch.

        A batch that is answered in part is answered again as a whole: what a policy samples depends on its batch.
        """
        # Lightning skips a prediction without batches, and with it the hooks in which callbacks write their results.
        kept = [batch for batch in self.batches[:-1] if not all(row.uid in uids for row in batch)]
        self.batches = kept + self.batches[-1:]
        return self

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> PromptBatch:
        return self.batches[index]

    def loader(self) -> DataLoader[PromptBatch]:
        """Return a loader without workers: a prompt holds no pixels, so there is nothing to prefetch."""
        # One share of one. Lightning deals the batches out a second time if the sampler is of any other class.
        in_order = DistributedSampler(self, num_replicas=1, rank=0, shuffle=False)
        # A generator of its own: a loader draws a seed when it starts, and validation must not advance the global one.
        chance = torch.Generator()
        # batch_size None: an item is a whole batch already.
        return DataLoader(
            self, batch_size=None, sampler=in_order, num_workers=0, collate_fn=_as_it_is, generator=chance
        )


def _as_it_is(batch: Any) -> Any:
    return batch
