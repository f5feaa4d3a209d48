"""Samples by slot: one tensor per column of an ``ExperienceBatch``, as wide as the longest completion so far.

Shapes: N slots, K of them, T tokens of the longest completion.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from algorithms.experience_batch import ExperienceBatch


class SampleTable:
    """Rows of samples that can be overwritten; it does not record which slots are in use."""

    def __init__(self, capacity: int) -> None:
        """Start without columns: the first samples determine which there are.

        Args:
            capacity: N, number of slots.
        """
        self.capacity = capacity
        self._columns: dict[str, Tensor] = {}  # each (N,) or (N, T)

    @property
    def num_bytes(self) -> int:
        """Size of all columns, free slots included."""
        return sum(column.numel() * column.element_size() for column in self._columns.values())

    def write(self, slots: Int[Tensor, " K"], batch: ExperienceBatch) -> None:
        """Overwrite the rows at some slots."""
        for name, rows in batch.columns().items():
            column = self._wide_enough(name, rows)
            if rows.ndim == 2:
                column[slots, : rows.shape[1]] = rows.to(column.dtype)
                # The slot may still hold a longer completion.
                column[slots, rows.shape[1] :] = 0
            else:
                column[slots] = rows

    def read(self, slots: Int[Tensor, " K"]) -> ExperienceBatch:
        """Return the rows at some slots, cut to their longest completion."""
        if not len(slots):
            return ExperienceBatch.empty()
        picked = {name: column[slots] for name, column in self._columns.items()}
        picked["completion_ids"] = picked["completion_ids"].long()
        batch = ExperienceBatch(**picked)
        return batch.rows(torch.arange(len(batch)))  # rows() cuts to the longest

    def column(self, name: str, slots: Int[Tensor, " K"]) -> Tensor:
        """Return one column at some slots; empty before the first sample, when no column exists."""
        return self._columns[name][slots] if self._columns else torch.zeros(0)

    def _wide_enough(self, name: str, rows: Tensor) -> Tensor:
        """Return a column, widened where these rows are longer than all before."""
        old = self._columns.get(name)
        if old is None or old.shape[1:] < rows.shape[1:]:
            # 32 bits hold any token id, at half the memory.
            dtype = torch.int32 if name == "completion_ids" else rows.dtype
            new = torch.zeros(self.capacity, *rows.shape[1:], dtype=dtype)  # (N,) or (N, T)
            if old is not None:
                new[:, : old.shape[1]] = old
            self._columns[name] = new
        return self._columns[name]
