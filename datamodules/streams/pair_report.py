"""Counts of pairs that were read or built: usable, selected, held out and rejected pairs, and their margins."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from algorithms import PreferencePair
from datamodules.rows.rejections import Rejection, count_reasons
from storage import whole_file

# Number of bins in the histograms of margins.
NUM_BINS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """Counts of pairs; ``rejected`` counts rows."""

    given: dict[str, int]
    """Usable pairs by kind, before selection."""

    kept: dict[str, int]
    """Selected pairs by kind, which training uses."""

    margin_bins: list[float]
    """Lower bounds of equally wide bins of the reward model's margin, and the upper bound of the last."""

    margins_by_kind: dict[str, list[int]]
    """Usable pairs in each bin, by kind; pairs without scores are in no bin."""

    held_out: dict[str, int]
    """Pairs by kind that are kept for validation."""

    rejected: dict[str, int]
    """Rows that could not be used, by reason."""

    @staticmethod
    def of(
        given: Sequence[PreferencePair],
        kept: Sequence[PreferencePair],
        held_out: Sequence[PreferencePair] = (),
        rejections: Sequence[Rejection] = (),
    ) -> "PairReport":
        """Return the counts of selected pairs, held-out pairs, and rejected rows."""
        margins = [pair.margin for pair in given if pair.margin is not None]
        low, high = (min(margins), max(margins)) if margins else (0.0, 1.0)
        # Bins need a width above 0, also when all margins are equal.
        bins = torch.linspace(low, max(high, low + 1e-6), NUM_BINS + 1)  # (NUM_BINS + 1,)
        by_kind = {}
        for kind in sorted({pair.kind for pair in given}):
            of_kind = torch.tensor([p.margin for p in given if p.kind == kind and p.margin is not None])
            counts = torch.histc(of_kind, NUM_BINS, bins[0].item(), bins[-1].item())  # (NUM_BINS,)
            by_kind[kind] = counts.int().tolist()
        return PairReport(
            given=_count(given),
            kept=_count(kept),
            margin_bins=[round(edge, 4) for edge in bins.tolist()],
            margins_by_kind=by_kind,
            held_out=_count(held_out),
            rejected=count_reasons(rejections),
        )

    def in_words(self) -> str:
        """Return one line."""
        kinds = ", ".join(f"{self.kept.get(kind, 0)} of {number} {kind}" for kind, number in self.given.items())
        bad = ", ".join(f"{number} {reason}" for reason, number in self.rejected.items())
        return f"pairs learned from: {kinds}" + (f"; rejected: {bad}" if bad else "")

    def write(self, path: Path) -> None:
        """Write the counts as JSON, as a whole file or not at all."""
        with whole_file(path) as draft:
            draft.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def margins_in_words(pairs: Sequence[PreferencePair]) -> str:
    """Return the spread of the reward model's margins, for messages about a threshold."""
    margins = sorted(pair.margin for pair in pairs if pair.margin is not None)
    if not margins:
        return "no pair has scores of a reward model"
    return f"margins go from {margins[0]:.3g} over {margins[len(margins) // 2]:.3g} (median) to {margins[-1]:.3g}"


def _count(pairs: Sequence[PreferencePair]) -> dict[str, int]:
    return dict(sorted(Counter(pair.kind for pair in pairs).items()))
