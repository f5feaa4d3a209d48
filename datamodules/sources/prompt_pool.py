"""A prompt pool: how often the starting policy solved each prompt, and the selection of training prompts from it.

The offline variant of the Selective Sample Buffer (R1V2, arXiv:2504.16656, section 3.3): roll the prompts out in
advance and keep those with mixed outcomes, because a prompt that is always or never solved gives no advantage.

    pool.jsonl   {"uid": 7, "key": "train-000007", "num_samples": 8, "num_correct": 3, "num_unknown": 0}   by prompt
    pool.json    counts and histogram of correct samples
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from algorithms import ConfigError, DataError, Prompt


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """Number of scored samples of one prompt, and how many of them are right."""

    uid: int
    """Row of the prompt in its file."""

    key: str
    num_samples: int
    num_correct: int
    num_unknown: int = 0
    """Number of further samples whose score is unknown, because the reward failed."""

    @property
    def pass_rate(self) -> float:
        """Share of scored samples that are right; NaN without scored samples, which is outside of all bounds."""
        return self.num_correct / self.num_samples if self.num_samples else math.nan

    def line(self) -> str:
        """Return the entry as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True, kw_only=True)
class PromptPool:
    """Selects the prompts of a pool for training: those whose pass rate lies strictly between two bounds."""

    path: str
    """pool.jsonl, as ``callbacks.PromptPoolWriter`` writes it."""

    above: float = 0.0
    """Lower bound of the pass rate, exclusive; 0 leaves out prompts that are never solved. EasyR1: 0.01, online."""

    below: float = 1.0
    """Upper bound of the pass rate, exclusive; 1 leaves out prompts that are always solved. EasyR1 uses 0.99."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.above < self.below <= 1.0:
            raise ConfigError(
                f"data.pool needs 0 <= above < below <= 1, got above = {self.above} and below = {self.below}: they "
                "bound a pass rate."
            )

    def select(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Return the prompts that the pool keeps, in their order.

        Raises:
            DataError: when the pool belongs to other prompts, or selects none.
        """
        entries = {entry.uid: entry for entry in read_entries(Path(self.path))}
        # A uid is only a position, and a pool of other data has the same positions, so keys are compared too.
        missing = [p for p in prompts if p.uid not in entries or entries[p.uid].key != p.key]
        if missing:
            raise DataError(
                f"data.pool.path={self.path!r} lacks {len(missing)} of {len(prompts)} training prompts, such as "
                f"{missing[0].key!r}: it was made from other data. Make it again from this data.source."
            )
        # Strictly: with the default bounds prompts that are never or always solved are left out.
        kept = [p for p in prompts if self.above < entries[p.uid].pass_rate < self.below]
        if not kept:
            raise DataError(
                f"data.pool keeps none of {len(prompts)} prompts: {histogram_in_words(entries.values())}. Widen "
                "data.pool.above and data.pool.below, or sample more per prompt."
            )
        return kept


def read_entries(path: Path) -> list[PoolEntry]:
    """Return the entries of a file; an unfinished last line of a killed run is left out.

    Raises:
        ConfigError: when there is no such file.
    """
    path = path.expanduser()
    if not path.is_file():
        raise ConfigError(
            f"data.pool.path is {str(path)!r}, but there is no such file: `train.py predict` with "
            "callbacks.PromptPoolWriter makes it."
        )
    # The text after the last line break is empty, or half a line.
    lines = path.read_text().split("\n")[:-1]
    return [PoolEntry(**json.loads(line)) for line in lines]


def summary(entries: Iterable[PoolEntry]) -> dict[str, Any]:
    """Return the counts of a pool: prompts, those never, sometimes and always solved, and the histogram.

    A prompt without scored samples counts as ``unknown`` only.
    """
    entries = list(entries)
    known = [entry for entry in entries if entry.num_samples]
    histogram = Counter(entry.num_correct for entry in known)
    never, always = (sum(entry.pass_rate == rate for entry in known) for rate in (0.0, 1.0))
    return {
        "prompts": len(entries),
        "never_solved": never,
        "sometimes_solved": len(known) - never - always,
        "always_solved": always,
        "unknown": len(entries) - len(known),
        "unknown_samples": sum(entry.num_unknown for entry in entries),
        # Also defined for an empty pool.
        "mean_pass_rate": sum(entry.pass_rate for entry in known) / max(1, len(known)),
        "prompts_by_num_correct": dict(sorted(histogram.items())),
    }


def histogram_in_words(entries: Iterable[PoolEntry]) -> str:
    """Return in words how many prompts are never, sometimes and always solved, and how many are unknown (if any)."""
    counts = summary(entries)
    kinds = ["never_solved", "sometimes_solved", "always_solved", *(["unknown"] if counts["unknown"] else [])]
    return ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in kinds)
