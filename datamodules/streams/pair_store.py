"""The pairs of a training run: reads, measures, holds out, selects and counts them.

    source -> pairs -> pairs that fit -> training / held out (by prompt) -> above the threshold, at most k per prompt

``pairs.json`` counts every pair that is left out: bad rows and long pairs by reason, unselected pairs by kind.
"""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from algorithms import ConfigError, DataError, PairSelection, PreferencePair, Prompt, check_at_least, select_pairs
from datamodules.rows.images import without_folder
from datamodules.rows.pair_rows import PairRows
from datamodules.rows.rejections import summary
from datamodules.sources.pair_source import PairSource
from datamodules.streams.batches import PromptBatch, PromptBatches
from datamodules.streams.pair_report import PairReport, margins_in_words
from datamodules.streams.shuffled import CountedLoader, ShuffledRows
from datamodules.streams.unusable import reject_unusable_pairs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """How pairs are selected, held out and batched. In the data modules each field is a key of its own."""

    selection: PairSelection
    pairs_per_batch: int
    """Pairs of one training step on one rank."""

    held_out: float
    """Share of the prompts, in [0, 1), whose pairs are for validation."""

    seed: int
    max_pair_tokens: int | None
    """Longest prompt plus completion; None keeps all."""

    def __post_init__(self) -> None:
        check_at_least("data.pairs_per_batch", self.pairs_per_batch, 1, "a batch must hold a pair")
        if not 0.0 <= self.held_out < 1.0:
            raise ConfigError(f"data.held_out must lie in [0, 1), got {self.held_out}: it is a share of the prompts.")


class PairStore:
    """Reads pairs once and hands them out in batches."""

    def __init__(self, source: PairSource, settings: PairSettings, *, max_image_pixels: int) -> None:
        """Keep the settings; nothing is read yet.

        Args:
            source: where the pairs lie.
            settings: selection, batches, share held out.
            max_image_pixels: largest width times height of an image.
        """
        self.source, self.settings, self.max_image_pixels = source, settings, max_image_pixels
        self.pairs: dict[str, list[PreferencePair]] = {}
        self.kept_fraction = 1.0

    def read(self, module: object | None, report: Path, *, is_first_rank: bool) -> None:
        """Read and select the pairs, unless this has been done.

        Args:
            module: checks pairs, if it can; None: pairs are not checked.
            report: file for the counts of pairs.
            is_first_rank: whether to write and log them.

        Raises:
            DataError: when no pair is left for training.
        """
        # Lightning calls ``setup`` before every command of a process.
        if "train" in self.pairs:
            return
        training = self._read_split("train", module)
        if training is None or not training.pairs:
            found = summary(training.rejections, training.num_rows) if training else "no training split"
            raise DataError(f"data.pairs in {self.source.folder} has no pair that can be used: {found}.")
        # A validation file of the source determines the held-out pairs.
        validation = self._read_split("val", module)
        if validation is not None:
            given = {"train": list(training.pairs), "val": list(validation.pairs)}
        else:
            given = split_by_prompt(training.pairs, self.settings.held_out)
        # Held-out pairs are selected in the same way, so that losses of training and validation can be compared.
        selection = self.settings.selection.for_pairs(given["train"])
        self.pairs |= {name: select_pairs(pairs, selection, seed=self.settings.seed) for name, pairs in given.items()}
        self._check_some_left(given["train"])
        # Share of all usable pairs that threshold and kinds keep; max_per_prompt and duplicates do not count.
        self.kept_fraction = sum(map(selection.keeps, given["train"])) / len(given["train"])
        if is_first_rank:
            rejections = training.rejections + (validation.rejections if validation else ())
            counts = PairReport.of(given["train"], self.pairs["train"], self.pairs["val"], rejections)
            counts.write(report)
            logger.warning("%s; %s", self.source.folder, counts.in_words())

    def read_held_out(self, split: str, module: object | None) -> bool:
        """Read only the pairs of validation or test; return whether the source has this split.

        Args:
            split: "val" or "test".
            module: checks pairs, if it can; None: pairs are not checked.

        Raises:
            DataError: when no pair of the split can be used.
        """
        if split in self.pairs:
            return True
        rows = self._read_split(split, module)
        if rows is None:
            return False
        self.pairs[split] = select_pairs(rows.pairs, self.settings.selection, seed=self.settings.seed)
        if not self.pairs[split]:
            found = summary(rows.rejections, rows.num_rows)
            raise DataError(
                f"data.pairs in {self.source.folder} has no pair of the split {split} that can be used: {found}; "
                f"{len(rows.pairs)} were read, none is kept by data.selection."
            )
        if rows.rejections:
            logger.warning("%s: %s", self.source.folder, summary(rows.rejections, rows.num_rows))
        return True

    def train_loader(self, rank: int, num_ranks: int) -> CountedLoader:
        """Return shuffled batches of one rank, pass after pass."""
        pairs = self.pairs["train"]
        order = ShuffledRows(
            len(pairs),
            per_batch=self.settings.pairs_per_batch,
            seed=self.settings.seed,
            rank=rank,
            world_size=num_ranks,
            purpose="pair order",
        )
        return CountedLoader(lambda number: PromptBatch([pairs[row] for row in order.rows(number)]))

    def val_loader(self, batch_size: int, rank: int, num_ranks: int, split: str = "val") -> DataLoader[Any] | None:
        """Return the held-out pairs of one rank in order; None when there are fewer pairs than ranks."""
        # Without a batch on every rank, a rank would be missing in collective calls.
        pairs = self.pairs.get(split, [])
        return PromptBatches(pairs, batch_size, rank, num_ranks).loader() if len(pairs) >= num_ranks else None

    def _read_split(self, split: str, module: object | None) -> PairRows | None:
        rows = self.source.read(split, max_image_pixels=self.max_image_pixels)
        return None if rows is None else reject_unusable_pairs(rows, self.settings.max_pair_tokens, module)

    def _check_some_left(self, given: Sequence[PreferencePair]) -> None:
        if not self.pairs["train"]:
            raise DataError(
                f"data.selection keeps none of {len(given)} pairs, which are of kind "
                f"{', '.join(sorted({pair.kind for pair in given}))}: {self.settings.selection}; "
                f"{margins_in_words(given)}. "
                "Lower data.selection.threshold, set data.selection.top_share in its place, or allow more kinds."
            )


def split_by_prompt(pairs: Sequence[PreferencePair], held_out: float) -> dict[str, list[PreferencePair]]:
    """Return training and held-out pairs, by a hash of each prompt.

    The side of a prompt does not depend on other rows or on the place of the folder. There is one exception: when all
    prompts would be on one side, one of them changes sides, so that few pairs still give both training and validation.

    Args:
        pairs: to be split, in the order of the file, which both sides keep.
        held_out: share of the prompts for validation, in [0, 1); 0 holds none out.
    """
    positions = [_position(pair.prompt) for pair in pairs]
    # The bound moves only when all prompts are on one side; a single prompt is always for training.
    if held_out and positions:
        held_out = min(max(held_out, math.nextafter(min(positions), 1.0)), max(positions))
    splits: dict[str, list[PreferencePair]] = {"train": [], "val": []}
    for pair, position in zip(pairs, positions, strict=True):
        splits["val" if position < held_out else "train"].append(pair)
    return splits


def _position(prompt: Prompt) -> float:
    """Return the hash of a prompt as a number in [0, 1)."""
    text = "\0".join([prompt.question, *(repr(without_folder(image)) for image in prompt.images)])
    # Python's hash() would differ between processes.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32
