"""The pairs of one training: read, measured, held out, selected and accounted for.

    source -> pairs -> pairs that fit -> training / held out (by prompt) -> above the threshold, at most k per prompt

Every pair that is left out is counted: bad rows and long pairs by reason, the others by kind, in ``pairs.json``.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch.utils.data import DataLoader

from algorithms import ConfigError, DataError, PairSelection, PreferencePair, select_pairs
from datamodules.rows.pair_rows import PairRows
from datamodules.rows.rejections import Rejection, summary
from datamodules.sources.pair_folders import PairSource
from datamodules.streams.batches import PromptBatch, PromptBatches
from datamodules.streams.pair_report import PairReport, margins_in_words
from datamodules.streams.shuffled import CountedLoader, ShuffledRows

logger = logging.getLogger(__name__)


@runtime_checkable
class JudgesPairs(Protocol):
    """What a module may offer, and must when pairs have a longest length."""

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        """Say why a pair cannot be learned from, as a reason to count by and a detail; None when it can."""
        ...


class PairStore:
    """Reads pairs once and hands them out in batches."""

    def __init__(
        self,
        source: PairSource,
        selection: PairSelection,
        *,
        pairs_per_batch: int,
        held_out: float,
        seed: int,
        max_pair_tokens: int | None,
        max_image_pixels: int,
    ) -> None:
        """Check the settings; nothing is read yet. The data modules explain them."""
        if pairs_per_batch < 1:
            raise ConfigError(f"data.pairs_per_batch must be at least 1, got {pairs_per_batch}.")
        if not 0.0 <= held_out < 1.0:
            raise ConfigError(f"data.held_out must lie in [0, 1), got {held_out}: it is a share of the prompts.")
        self.source, self.selection = source, selection
        self.pairs_per_batch, self.held_out, self.seed = pairs_per_batch, held_out, seed
        self.max_pair_tokens, self.max_image_pixels = max_pair_tokens, max_image_pixels
        self.pairs: dict[str, list[PreferencePair]] = {}
        self.kept_fraction = 1.0

    def read(self, module: Any, report_folder: str | Path | None, *, is_first_rank: bool) -> None:
        """Read and select the pairs, unless that has been done.

        Args:
            module: judges pairs, when it can; None: none is judged.
            report_folder: where pairs.json goes; None: beside the pairs.
            is_first_rank: whether to report.

        Raises:
            DataError: when no pair is left to learn from.
        """
        if self.pairs:
            return
        rows = self._read_split("train", module)
        if rows is None or not rows.pairs:
            found = summary(rows.rejections, rows.num_rows) if rows else "no training split"
            raise DataError(f"data.pairs in {self.source.folder} has no pair that can be used: {found}.")
        held_out = self._read_split("val", module)
        if held_out is not None:
            given = {"train": list(rows.pairs), "val": list(held_out.pairs)}
        else:
            given = split_by_prompt(rows.pairs, self.held_out)
        self.pairs = {name: select_pairs(pairs, self.selection, seed=self.seed) for name, pairs in given.items()}
        if not self.pairs["train"]:
            raise DataError(
                f"data.selection keeps none of {len(given['train'])} pairs, which are of kind "
                f"{', '.join(sorted({pair.kind for pair in given['train']}))}: {self.selection}; "
                f"{margins_in_words(given['train'])}. Lower data.selection.threshold or allow more kinds."
            )
        self.kept_fraction = sum(map(self.selection.keeps, given["train"])) / len(given["train"])
        if is_first_rank:
            rejections = rows.rejections + (held_out.rejections if held_out else ())
            report = PairReport.of(given["train"], self.pairs["train"], self.pairs["val"], rejections)
            report.write(Path(report_folder or self.source.folder) / "pairs.json")
            logger.warning("%s; %s", self.source.folder, report.in_words())

    def train_loader(self, rank: int, num_ranks: int) -> CountedLoader:
        """Return shuffled batches of one rank, pass after pass."""
        pairs = self.pairs["train"]
        order = ShuffledRows(
            len(pairs),
            per_batch=self.pairs_per_batch,
            seed=self.seed,
            rank=rank,
            world_size=num_ranks,
            purpose="pair order",
        )
        return CountedLoader(lambda number: PromptBatch([pairs[row] for row in order.rows(number)]))

    def val_loader(self, batch_size: int, rank: int, num_ranks: int) -> DataLoader[Any] | None:
        """Return the held-out pairs of one rank in order; None when there are fewer than ranks."""
        pairs = self.pairs.get("val", [])
        return PromptBatches(pairs, batch_size, rank, num_ranks).loader() if len(pairs) >= num_ranks else None

    def _read_split(self, split: str, module: Any) -> PairRows | None:
        rows = self.source.read(split, max_image_pixels=self.max_image_pixels)
        if rows is None:
            return None
        if isinstance(module, JudgesPairs):
            return reject_unfit_pairs(rows, self.max_pair_tokens, module)
        if self.max_pair_tokens is not None and module is not None:
            raise ConfigError(
                f"data.max_pair_tokens must be null with {type(module).__name__}, got {self.max_pair_tokens}: this "
                "module has no method pair_problem that counts the tokens of a pair."
            )
        return rows


def split_by_prompt(pairs: Sequence[PreferencePair], held_out: float) -> dict[str, list[PreferencePair]]:
    """Return training and held-out pairs; a prompt is in one of them, whatever its place in the file."""
    splits: dict[str, list[PreferencePair]] = {"train": [], "val": []}
    for pair in pairs:
        text = "\0".join([pair.prompt.question, *(repr(image) for image in pair.prompt.images)])
        position = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32
        splits["val" if position < held_out else "train"].append(pair)
    return splits


def reject_unfit_pairs(rows: PairRows, max_tokens: int | None, module: JudgesPairs) -> PairRows:
    """Move pairs that the module cannot learn from to the rejections; nothing is truncated."""
    problems = [(pair, module.pair_problem(pair, max_tokens)) for pair in rows.pairs]
    kept = tuple(pair for pair, problem in problems if problem is None)
    rejected = tuple(Rejection(pair.uid, pair.prompt.key, *problem) for pair, problem in problems if problem)
    rejections = tuple(sorted(rows.rejections + rejected, key=lambda rejection: rejection.row))
    return PairRows(kept, rejections, rows.num_rows)
