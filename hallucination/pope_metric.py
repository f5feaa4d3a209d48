"""Scores of the answers to POPE's probes (arXiv:2305.10355, section 5), overall and by split."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from algorithms.errors import DataError
from hallucination.pope import POPE_SPLITS
from hallucination.yes_no import answer_counts, poll_answer, yes_no_scores


class PopeMetric(Metric):
    """Accuracy, precision, recall, F1 and yes-ratio of the answers to POPE's probes, overall and by split."""

    full_state_update = False
    counts: Tensor
    """(splits, 4): true yes, false yes, true no, false no."""

    num_silent: Tensor
    """Answers that contain neither a yes nor a no and count as yes."""

    def __init__(self, splits: Sequence[str] = POPE_SPLITS) -> None:
        """Start from zero counts.

        Args:
            splits: the splits that probes may come from.
        """
        super().__init__()
        self.splits = tuple(splits)
        self.add_state("counts", torch.zeros(len(self.splits), 4, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("num_silent", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, completions: Sequence[str], answers: Sequence[str], splits: Sequence[str]) -> None:
        """Add completions, the right answer to each ("yes" or "no") and the split of its probe.

        Raises:
            DataError: A right answer other than yes or no, or an unknown split.
        """
        for name, given, allowed in (("answer", answers, ("yes", "no")), ("split", splits, self.splits)):
            if not set(given) <= set(allowed):
                raise DataError(f"the {name} of a probe must be one of {', '.join(allowed)}, got {sorted(set(given))}.")
        polled = [poll_answer(completion) for completion in completions]
        is_yes = torch.tensor([answer.is_yes for answer in polled], dtype=torch.bool)
        is_truly_yes = torch.tensor([answer == "yes" for answer in answers], dtype=torch.bool)
        for position, split in enumerate(self.splits):
            # (N,) on the CPU, where the texts are; the counts may be on another device.
            of_split = torch.tensor([given == split for given in splits], dtype=torch.bool)
            self.counts[position] += answer_counts(is_yes[of_split], is_truly_yes[of_split]).to(self.counts)
        self.num_silent += sum(not answer.is_stated for answer in polled)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores over all probes, and those of each split that has a probe."""
        # From the summed counts: a mean over the splits would give splits of different sizes the same weight.
        overall = yes_no_scores(self.counts.sum(0))
        values = {f"pope_{name}": score for name, score in overall._asdict().items()}
        values["pope_silent_fraction"] = self.num_silent / self.counts.sum().clamp_min(1)
        by_split = yes_no_scores(self.counts)  # each score is (splits,)
        for position, split in enumerate(self.splits):
            if self.counts[position].sum() > 0:
                values |= {f"pope_{name}_{split}": score[position] for name, score in by_split._asdict().items()}
        return values
