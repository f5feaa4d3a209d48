"""Selective Sample Buffer, SSB (R1V2, arXiv:2504.16656, section 3.3).

Keeps samples whose advantage is not zero and hands some of them to later updates, drawn in proportion to
|advantage|^priority_exponent, so that the batch stays full when most groups of a rollout have become all
right or all wrong.

Differs from the paper: the paper gives no capacity, exponent, mix or age limit, and does not say which
log-probabilities a replayed sample is compared with. Here a sample keeps the behavior log-probs and the
advantage it was stored with, may be drawn while it is at most ``max_age`` policy versions old (16 is the
bound that VL-Rethinker's replay has by construction, arXiv:2504.08837), and stays in the buffer when
drawn. Of one draw no sample appears twice.

Several ranks: each holds a buffer of its own samples and fills its own batch from it. Together they are one
buffer of ranks x capacity samples, drawn from in strata of one rank each.

Memory per sample: 9 bytes per token of the longest completion seen (13 with engine log-probs), and about 70
bytes besides. Images are referred to by the prompt's uid.

Shapes: N slots, K samples, T tokens of the longest completion.
"""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from algorithms.experience_batch import ExperienceBatch
from algorithms.replay.config import BufferConfig
from algorithms.replay.sum_tree import SumTree

_FREE = -1
# No weight may vanish beside others: what is held can be drawn.
_SMALLEST_PRIORITY = 1e-300


class SelectiveSampleBuffer:
    """Bounded store of samples that carry signal."""

    def __init__(self, config: BufferConfig) -> None:
        """Start empty; memory is taken as samples come."""
        self.config = config
        self._columns: dict[str, Tensor] = {}
        self._arrivals = torch.full((config.capacity,), _FREE)  # counts up, so the smallest is the oldest
        self._num_arrived = self._num_held = 0
        self._priorities = SumTree(config.capacity)

    def __len__(self) -> int:
        return self._num_held

    @property
    def stored(self) -> ExperienceBatch:
        """All samples, oldest first."""
        held = self._held_slots()
        return self._rows(held[self._arrivals[held].argsort()])

    @property
    def num_bytes(self) -> int:
        """Size of the store, free slots included."""
        tensors = (*self._columns.values(), self._arrivals, self._priorities.sums)
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def add(self, batch: ExperienceBatch) -> int:
        """Store the rows with a non-zero advantage and return how many there were."""
        effective = batch.rows(batch.advantages != 0.0)
        if self.config.capacity and len(effective):
            arrivals = self._num_arrived + torch.arange(len(effective))
            self._num_arrived += len(effective)
            make_room = self._ring if self.config.evict == "oldest" else self._by_priority
            stays, slots = make_room(effective.advantages, arrivals)
            self._put(slots, effective.rows(stays), arrivals[stays])
        return len(effective)

    def forget_stale(self, policy_version: int) -> int:
        """Drop the samples older than ``max_age`` at this version and return how many there were."""
        held = self._held_slots()
        ages = policy_version - self._column("policy_versions", held)
        return self._remove(held[ages > self.config.max_age])

    def retire(self, prompt_uids: Int[Tensor, " K"]) -> int:
        """Drop the samples of these prompts, such as those that have become all right; return how many."""
        held = self._held_slots()
        return self._remove(held[torch.isin(self._column("prompt_uids", held), prompt_uids)])

    def draw(self, num_samples: int, *, generator: torch.Generator) -> ExperienceBatch:
        """Return up to ``num_samples`` different rows, marked as replay; fewer when fewer are stored.

        With ``correction_exponent`` c the rows have weights (mean priority / priority)^c: with c = 1 their mean
        estimates that over the whole buffer, whatever the priorities.
        """
        slots = self._priorities.draw_distinct(max(num_samples, 0), generator=generator)
        rows = self._rows(slots)
        mean = self._priorities.total / max(len(self), 1)
        weights = (mean / self._priorities.weights(slots)) ** self.config.correction_exponent
        return rows.with_columns(is_replay=torch.ones(len(rows), dtype=torch.bool), weights=weights.float())

    def state_dict(self) -> dict[str, Any]:
        """Return the samples, and the slots they lie in: draws depend on both."""
        held = self._held_slots()
        places = {"slots": held, "arrivals": self._arrivals[held], "num_arrived": self._num_arrived}
        return {"rows": self._rows(held).state_dict(), **places}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace what is stored; draws go on as they would have.

        Raises:
            ConfigError: when the state does not fit into ``capacity``.
        """
        self.config.check_room(state["slots"])
        self._columns = {}
        self._arrivals.fill_(_FREE)
        self._priorities = SumTree(self.config.capacity)
        self._num_arrived, self._num_held = state["num_arrived"], 0
        if len(state["slots"]):
            self._put(state["slots"], ExperienceBatch.from_state_dict(state["rows"]), state["arrivals"])

    def _held_slots(self) -> Int[Tensor, " K"]:
        return (self._arrivals != _FREE).nonzero().squeeze(1)

    def _ring(self, advantages: Tensor, arrivals: Int[Tensor, " K"]) -> tuple[Bool[Tensor, " K"], Int[Tensor, " S"]]:
        """Return which of the new samples stay, and slots that hold the oldest: O(1) whatever the capacity.

        Slots go round, so that samples which were retired count until their turn would have come.
        """
        del advantages
        stays = arrivals >= self._num_arrived - self.config.capacity
        return stays, arrivals[stays] % self.config.capacity

    def _by_priority(
        self, advantages: Tensor, arrivals: Int[Tensor, " K"]
    ) -> tuple[Bool[Tensor, " K"], Int[Tensor, " S"]]:
        """Remove the samples of lowest priority; return which of the new ones stay, and free slots for them."""
        held = self._held_slots()
        num_leaving = max(0, len(held) + len(advantages) - self.config.capacity)
        arrived = torch.cat([self._arrivals[held], arrivals])
        worth = torch.cat([self._column("advantages", held), advantages]).abs()
        leaves = _first_to_leave(worth, arrived, num_leaving)
        self._remove(held[leaves[: len(held)]])
        stays = ~leaves[len(held) :]
        return stays, (self._arrivals == _FREE).nonzero().squeeze(1)[: int(stays.sum())]

    def _put(self, slots: Int[Tensor, " K"], batch: ExperienceBatch, arrivals: Int[Tensor, " K"]) -> None:
        for name, rows in batch.columns().items():
            column = self._room_for(name, rows)
            if rows.ndim == 2:
                column[slots, : rows.shape[1]] = rows.to(column.dtype)
                column[slots, rows.shape[1] :] = 0
            else:
                column[slots] = rows
        self._num_held += int((self._arrivals[slots] == _FREE).sum())
        self._arrivals[slots] = arrivals
        priorities = batch.advantages.abs().double() ** self.config.priority_exponent
        self._priorities.set(slots, priorities.clamp_min(_SMALLEST_PRIORITY))

    def _room_for(self, name: str, rows: Tensor) -> Tensor:
        """Return a column, at least as wide as these rows."""
        old = self._columns.get(name)
        if old is None or old.shape[1:] < rows.shape[1:]:
            # 32 bits hold any token id.
            dtype = torch.int32 if name == "completion_ids" else rows.dtype
            new = torch.zeros(self.config.capacity, *rows.shape[1:], dtype=dtype)
            if old is not None:
                new[:, : old.shape[1]] = old
            self._columns[name] = new
        return self._columns[name]

    def _rows(self, slots: Int[Tensor, " K"]) -> ExperienceBatch:
        if not len(slots):
            return ExperienceBatch.empty()
        picked = {name: column[slots] for name, column in self._columns.items()}
        picked["completion_ids"] = picked["completion_ids"].long()
        batch = ExperienceBatch(**picked)
        return batch.rows(torch.arange(len(batch)))  # cut to the longest

    def _column(self, name: str, slots: Int[Tensor, " K"]) -> Tensor:
        """Return one column of some slots; columns are there from the first sample on."""
        return self._columns[name][slots] if self._columns else torch.zeros(0)

    def _remove(self, slots: Int[Tensor, " K"]) -> int:
        if len(slots):
            self._num_held -= len(slots)
            self._arrivals[slots] = _FREE
            self._priorities.set(slots, torch.zeros(len(slots)))
        return len(slots)


def _first_to_leave(keys: Tensor, arrived: Int[Tensor, " K"], num_leaving: int) -> Bool[Tensor, " K"]:
    """Return the samples with the smallest keys; of equal keys the older leave first."""
    if num_leaving == 0:
        return torch.zeros(len(keys), dtype=torch.bool)
    threshold = torch.kthvalue(keys, num_leaving).values
    leaves = keys < threshold
    tied = (keys == threshold).nonzero().squeeze(1)
    leaves[tied[arrived[tied].argsort()][: num_leaving - int(leaves.sum())]] = True
    return leaves
