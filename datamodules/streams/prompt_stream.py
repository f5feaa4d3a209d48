"""Reads prompts during training: in shards, shuffled in windows, resumed exactly.

    shards of a consumer, in an order of the pass -> windows of rows -> each window shuffled -> parts mixed by weight

A consumer is a rank, or a loader's worker on a rank. With at least as many shards as consumers, each consumer has
shards of its own; otherwise every consumer reads all shards and keeps every n-th row. No row belongs to two consumers.

The state is a few numbers: the position in the stream and, for each part, the beginning of its window. A resumed stream
reads this window again, so no row is skipped or repeated, and no row is stored in the checkpoint.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from algorithms import DataError, Prompt, check_at_least, position_generator
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection
from datamodules.sources.shards import PART_BITS, SHARD_BITS, StreamedPart, uid_of
from datamodules.streams.mixed import PartSchedule

logger = logging.getLogger(__name__)

Judge = Callable[[Prompt], Prompt | Rejection]


class PromptStream(IterableDataset[Prompt]):
    """An endless stream of prompts."""

    def __init__(
        self,
        parts: Sequence[StreamedPart],
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        window: int = 1024,
        purpose: str = "prompt order",
        judge: Judge = lambda prompt: prompt,
    ) -> None:
        """Describe the stream; nothing is read yet.

        Args:
            parts: the parts of the mixture.
            seed: seed of every order.
            rank: this process.
            world_size: number of processes.
            window: number of rows that are shuffled together; each part keeps so many rows in memory.
            purpose: name of what is ordered; different purposes have different orders.
            judge: function that rewrites a prompt, or returns why it cannot be used.
        """
        check_at_least("window", window, 1, "rows are shuffled in windows")
        self.parts, self.seed, self.rank, self.world_size = tuple(parts), seed, rank, world_size
        self.window, self.purpose, self.judge = window, purpose, judge
        self.rejected: Counter[str] = Counter()
        self._begin(rank, world_size)

    def __iter__(self) -> Iterator[Prompt]:
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            self._begin(self.rank * worker.num_workers + worker.id, self.world_size * worker.num_workers)
        while True:
            yield self.next()

    def next(self) -> Prompt:
        """Return the next prompt.

        Raises:
            DataError: a whole pass over a part has no row that can be used.
        """
        part, _ = self._schedule.at(self._position)
        prompt = self._streams[part].next()
        # The position moves after reading, so that a failed read changes no state.
        self._position += 1
        return prompt

    def take(self, number: int) -> list[Prompt]:
        """Return the next prompts."""
        return [self.next() for _ in range(number)]

    def find(self, uids: Sequence[int]) -> dict[int, Prompt]:
        """Return the prompts of uids by reading their rows again; a uid without a row is left out."""
        found: dict[int, Prompt] = {}
        for stream in self._streams.values():
            found |= stream.find([uid for uid in uids if uid >> PART_BITS == stream.part.number])
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the stream."""
        return {
            "position": self._position,
            "parts": {part: stream.state_dict() for part, stream in self._streams.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position of a stream with the same parts, seed and ranks."""
        self._position = state["position"]
        for part, stream in self._streams.items():
            stream.load_state_dict(state["parts"][part])

    def _begin(self, consumer: int, num_consumers: int) -> None:
        weights = {part.number: part.weight for part in self.parts}
        self._schedule = PartSchedule(weights, seed=self.seed, purpose=self.purpose)
        self._position = 0
        self._streams = {part.number: _PartOfStream(self, part, consumer, num_consumers) for part in self.parts}


def first_rows(parts: Sequence[StreamedPart], number: int) -> PromptRows:
    """Return the first rows of each part, good and bad, for checking a data set before it is streamed.

    Raises:
        DataError: the data are useless because of columns that were not read.
    """
    found: list[Prompt | Rejection] = []
    for part in parts:
        # Further shards are read only when the first ones are short.
        # (number of the shard, row in the shard, cells)
        rows = ((s, r, cells) for s, shard in enumerate(part.shards) for r, cells in enumerate(shard.rows(0)))
        for shard, row, cells in islice(rows, number):
            name = f"{part.shards[shard].name}-{row}"
            found.append(part.reader.row(uid_of(part.number, shard, row), name, cells))
        part.reader.audit.check(part.name)
    return PromptRows(
        prompts=tuple(row for row in found if isinstance(row, Prompt)),
        rejections=tuple(row for row in found if isinstance(row, Rejection)),
        num_rows=len(found),
        audit=parts[0].reader.audit,
    )


class _PartOfStream:
    """The rows of one part that belong to one consumer, pass after pass."""

    def __init__(self, stream: PromptStream, part: StreamedPart, consumer: int, num_consumers: int) -> None:
        self.stream, self.part = stream, part
        # With enough shards: every n-th shard, and all of its rows.
        self._share = range(consumer, len(part.shards), num_consumers)
        self._every, self._offset_of_rows = 1, 0
        # With too few shards: all shards, and every n-th row of them.
        if len(part.shards) < num_consumers:
            self._share, self._every, self._offset_of_rows = range(len(part.shards)), num_consumers, consumer
        # Beginning of the window: pass, place in the order of shards, row of the shard.
        self._start = (0, 0, 0)
        self._next_window = (0, 0, 0)
        self._window: list[Prompt] = []
        self._taken = 0
        self._rows: Iterator[Any] | None = None

    def next(self) -> Prompt:
        while self._taken >= len(self._window):
            self._fill()
        self._taken += 1
        return self._window[self._taken - 1]

    def find(self, uids: Sequence[int]) -> dict[int, Prompt]:
        # Number of the shard -> uids in it: each shard is opened once.
        wanted: dict[int, set[int]] = {}
        for uid in uids:
            wanted.setdefault(uid >> SHARD_BITS & (1 << PART_BITS - SHARD_BITS) - 1, set()).add(uid)
        found: dict[int, Prompt] = {}
        for shard, missing in wanted.items():
            # Rows before the first wanted one are not made into prompts.
            first = min(uid & (1 << SHARD_BITS) - 1 for uid in missing)
            for row, cells in enumerate(self.part.shards[shard].rows(first), start=first):
                uid = uid_of(self.part.number, shard, row)
                if uid in missing and isinstance(prompt := self._prompt(uid, shard, row, cells), Prompt):
                    found[uid] = prompt
                missing.discard(uid)
                if not missing:
                    break
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"start": list(self._start), "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        start = state["start"]
        self._next_window = (start[0], start[1], start[2])
        self._window, self._taken, self._rows = [], 0, None
        if state["taken"]:
            self._fill()
            self._taken = state["taken"]

    def _fill(self) -> None:
        """Read and shuffle the next window; a window ends at the end of a pass."""
        self._start = self._next_window
        number, place, row = self._start
        window: list[Prompt] = []
        order = self._order(number)
        while place < len(order) and len(window) < self.stream.window:
            shard = order[place]
            row, is_over = self._read(shard, row, window)
            if is_over:
                place, row, self._rows = place + 1, 0, None
        is_end = place >= len(order)
        # A window that covers a whole pass and is empty: going on would loop for ever.
        if is_end and self._start[1:] == (0, 0) and not window:
            raise DataError(
                f"{self.part.name} has no row that can be used in a whole pass: "
                f"{dict(self.stream.rejected) or 'it has no rows for this rank'}."
            )
        self._next_window = (number + 1, 0, 0) if is_end else (number, place, row)
        # Seeded by the beginning of the window: a resumed stream shuffles the window in the same way.
        generator = position_generator(self.stream.seed, self._purpose("window"), *self._start)
        self._window = [window[i] for i in torch.randperm(len(window), generator=generator).tolist()]
        self._taken = 0

    def _read(self, shard: int, row: int, window: list[Prompt]) -> tuple[int, bool]:
        """Read rows of a shard until the window is full; return the next row, and whether the shard has ended."""
        if self._rows is None:
            self._rows = iter(self.part.shards[shard].rows(row))
        for cells in self._rows:
            if row % self._every == self._offset_of_rows:
                prompt = self._prompt(uid_of(self.part.number, shard, row), shard, row, cells)
                if isinstance(prompt, Prompt):
                    window.append(prompt)
                else:
                    self._reject(prompt)
            row += 1
            if len(window) == self.stream.window:
                return row, False
        return row, True

    def _prompt(self, uid: int, shard: int, row: int, cells: Any) -> Prompt | Rejection:
        prompt = self.part.reader.row(uid, f"{self.part.shards[shard].name}-{row}", cells)
        return self.stream.judge(prompt) if isinstance(prompt, Prompt) else prompt

    def _reject(self, rejection: Rejection) -> None:
        self.stream.rejected[rejection.reason] += 1
        count = self.stream.rejected[rejection.reason]
        # Not every rejected row is logged: the first one, then number 10, 100, ...
        if str(count).strip("0") == "1":
            logger.warning(
                "%s: %d row(s) rejected so far: %s; the last is %s: %s",
                self.part.name,
                count,
                rejection.reason,
                rejection.key,
                rejection.detail,
            )

    def _order(self, number: int) -> list[int]:
        generator = position_generator(self.stream.seed, self._purpose("shards"), number)
        return [self._share[i] for i in torch.randperm(len(self._share), generator=generator).tolist()]

    def _purpose(self, what: str) -> str:
        return f"{self.stream.purpose}, {what} of part {self.part.number}"
