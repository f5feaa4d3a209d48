"""Selective Sample Buffer, SSB (R1V2, arXiv:2504.16656, section 3.3).

Keeps samples whose advantage is not zero and returns some of them to later updates, drawn in proportion to
|advantage|^priority_exponent, so that the batch stays full when most groups of a rollout have become all
right or all wrong.

Differs from the paper: the paper gives no capacity, exponent, mix or age limit, and does not name the
log-probabilities that a replayed sample is compared with. Here a sample keeps the behavior log-probs and the
advantage it was stored with, may be drawn while it is at most ``max_age`` policy versions old (16 is the
bound that VL-Rethinker's replay has by construction, arXiv:2504.08837), and stays in the buffer when
drawn. No sample appears twice in one draw.

Several ranks: each rank holds a buffer of its own samples and fills its own batch from it. Together they are one
buffer of ranks x capacity samples, drawn from in strata of one rank each.

Memory per sample: 9 bytes per token of the longest completion so far (13 with engine log-probs), and about 70
bytes besides. Images are not stored: a sample has its prompt's uid.

Shapes: N slots, K samples, T tokens of the longest completion.
"""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from algorithms.experience_batch import ExperienceBatch
from algorithms.replay.config import BufferConfig
from algorithms.replay.inclusion import inclusion_probabilities
from algorithms.replay.sample_table import SampleTable
from algorithms.replay.sum_tree import SumTree

_FREE = -1
# Every held sample can be drawn, so no priority may underflow to 0, as 1e-7 to the power of 50 does.
_SMALLEST_PRIORITY = 1e-300


class SelectiveSampleBuffer:
    """Bounded store of samples that carry signal."""

    def __init__(self, config: BufferConfig) -> None:
        """Start empty; memory is allocated when the first samples arrive."""
        self.config = config
        self._table = SampleTable(config.capacity)
        # (N,): the number of each slot's sample, counted from the first sample of the run; the smallest is the oldest.
        self._arrivals = torch.full((config.capacity,), _FREE)
        self._num_arrived = self._num_held = 0
        self._priorities = SumTree(config.capacity)

    def __len__(self) -> int:
        return self._num_held

    @property
    def stored(self) -> ExperienceBatch:
        """All samples, oldest first."""
        held = self._held_slots()
        return self._table.read(held[self._arrivals[held].argsort()])

    @property
    def num_bytes(self) -> int:
        """Size of the buffer, free slots included."""
        tensors = (self._arrivals, self._priorities.sums)
        return self._table.num_bytes + sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def add(self, batch: ExperienceBatch) -> int:
        """Store the rows with a non-zero advantage and return how many there were."""
        effective = batch.rows(batch.advantages != 0.0)
        if self.config.capacity and len(effective):
            arrivals = self._num_arrived + torch.arange(len(effective))  # (K,)
            self._num_arrived += len(effective)
            make_room = self._replace_oldest if self.config.evict == "oldest" else self._remove_lowest_priority
            stays, slots = make_room(effective.advantages, arrivals)
            self._put(slots, effective.rows(stays), arrivals[stays])
        return len(effective)

    def forget_stale(self, policy_version: int) -> int:
        """Drop the samples older than ``max_age`` at this version and return how many there were."""
        held = self._held_slots()
        ages = policy_version - self._table.column("policy_versions", held)
        return self._remove(held[ages > self.config.max_age])

    def retire(self, prompt_uids: Int[Tensor, " K"]) -> int:
        """Drop the samples of these prompts, such as those that have become all right; return how many."""
        held = self._held_slots()
        return self._remove(held[torch.isin(self._table.column("prompt_uids", held), prompt_uids)])

    def draw(self, num_samples: int, *, generator: torch.Generator) -> ExperienceBatch:
        """Return up to ``num_samples`` different rows, marked as replay; all rows when the buffer holds fewer.

        With ``correction_exponent`` c the rows have weights (K / (N p))^c for K of N samples drawn and p from
        ``inclusion_probabilities``: with c = 1 their mean is right on average for every function of a sample.
        """
        slots = self._priorities.draw_distinct(max(num_samples, 0), generator=generator)
        rows = self._table.read(slots)
        weights = torch.ones(len(rows), dtype=torch.double)
        # The time of the probabilities grows with K^2; with the exponent 0 all weights are 1 without them.
        if self.config.correction_exponent and len(rows):
            left = self._priorities.total_without(slots)
            probabilities = inclusion_probabilities(self._priorities.weights(slots), weight_left=left)
            weights = (len(rows) / len(self) / probabilities) ** self.config.correction_exponent
        return rows.with_columns(is_replay=torch.ones(len(rows), dtype=torch.bool), weights=weights.float())

    def state_dict(self) -> dict[str, Any]:
        """Return the samples and their slots: draws depend on both."""
        held = self._held_slots()
        places = {"slots": held, "arrivals": self._arrivals[held], "num_arrived": self._num_arrived}
        return {"rows": self._table.read(held).state_dict(), **places}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace what is stored; later draws are those that the saved buffer would have made.

        Raises:
            ConfigError: when the state does not fit into ``capacity``.
        """
        self.config.check_room(state["slots"])
        self._table = SampleTable(self.config.capacity)
        self._arrivals.fill_(_FREE)
        self._priorities = SumTree(self.config.capacity)
        self._num_arrived, self._num_held = state["num_arrived"], 0
        if len(state["slots"]):
            self._put(state["slots"], ExperienceBatch.from_state_dict(state["rows"]), state["arrivals"])

    def _held_slots(self) -> Int[Tensor, " K"]:
        return (self._arrivals != _FREE).nonzero().squeeze(1)

    def _replace_oldest(
        self, advantages: Tensor, arrivals: Int[Tensor, " K"]
    ) -> tuple[Bool[Tensor, " K"], Int[Tensor, " S"]]:
        """Return which of the new samples stay, and the slots of the oldest samples. The time does not depend on the
        capacity.

        Slots are used in turn, so the slot of a retired sample stays free until its turn comes.
        """
        del advantages
        # Of more new samples than slots, only the last ones stay.
        stays = arrivals >= self._num_arrived - self.config.capacity
        return stays, arrivals[stays] % self.config.capacity

    def _remove_lowest_priority(
        self, advantages: Tensor, arrivals: Int[Tensor, " K"]
    ) -> tuple[Bool[Tensor, " K"], Int[Tensor, " S"]]:
        """Remove the samples of lowest priority; return which of the new ones stay, and free slots for them."""
        held = self._held_slots()
        num_leaving = max(0, len(held) + len(advantages) - self.config.capacity)
        # Held samples first, then the new ones: (held + K,).
        arrived = torch.cat([self._arrivals[held], arrivals])
        sizes = torch.cat([self._table.column("advantages", held), advantages]).abs()
        leaves = _smallest(sizes, arrived, num_leaving)
        self._remove(held[leaves[: len(held)]])
        stays = ~leaves[len(held) :]
        return stays, (self._arrivals == _FREE).nonzero().squeeze(1)[: int(stays.sum())]

    def _put(self, slots: Int[Tensor, " K"], batch: ExperienceBatch, arrivals: Int[Tensor, " K"]) -> None:
        self._table.write(slots, batch)
        # Before the arrivals are overwritten: only a slot that was free adds a sample.
        self._num_held += int((self._arrivals[slots] == _FREE).sum())
        self._arrivals[slots] = arrivals
        priorities = batch.advantages.abs().double() ** self.config.priority_exponent
        self._priorities.set(slots, priorities.clamp_min(_SMALLEST_PRIORITY))

    def _remove(self, slots: Int[Tensor, " K"]) -> int:
        if len(slots):
            self._num_held -= len(slots)
            # The rows themselves stay in the table until they are overwritten.
            self._arrivals[slots] = _FREE
            self._priorities.set(slots, torch.zeros(len(slots)))
        return len(slots)


def _smallest(sizes: Tensor, arrived: Int[Tensor, " K"], count: int) -> Bool[Tensor, " K"]:
    """Return which ``count`` samples have the smallest sizes; of equal sizes the older ones."""
    if count == 0:
        return torch.zeros(len(sizes), dtype=torch.bool)
    # kthvalue is linear in the number of samples; a sort of all of them is not.
    threshold = torch.kthvalue(sizes, count).values
    is_smallest = sizes < threshold
    tied = (sizes == threshold).nonzero().squeeze(1)
    is_smallest[tied[arrived[tied].argsort()][: count - int(is_smallest.sum())]] = True
    return is_smallest
