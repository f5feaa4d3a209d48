"""Hallucination benchmarks as torchmetrics: sums or rows on every rank, joined over ranks, divided once at the end.

``HallucinationRate`` (lightning_modules/metrics.py) is CHAIR, for claims about shapes and about COCO objects alike.
Here are POPE, HallusionBench, AMBER and the marker of blindness. Every ``compute`` returns numbers by name, in [0, 1],
the same on every rank; a rank that saw nothing takes part.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from algorithms.amber import AmberCounts, AmberVocabulary, amber_counts, amber_scores
from algorithms.blindness import claims_blindness
from algorithms.errors import DataError
from algorithms.hallusion_bench import HallusionQuestion, Verdict, answer_rows, hallusion_scores
from algorithms.pope import POPE_SPLITS
from algorithms.yes_no import answer_counts, poll_answer, yes_no_scores


class PopeMetric(Metric):
    """Accuracy, precision, recall, F1 and yes-ratio of the answers to POPE's probes, overall and by split."""

    full_state_update = False
    counts: Tensor
    """(splits, 4): true yes, false yes, true no, false no."""

    num_silent: Tensor
    """Answers that hold neither a yes nor a no and count as yes."""

    def __init__(self, splits: Sequence[str] = POPE_SPLITS) -> None:
        """Name the splits that probes may come from."""
        super().__init__()
        self.splits = tuple(splits)
        self.add_state("counts", torch.zeros(len(self.splits), 4, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("num_silent", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, completions: Sequence[str], answers: Sequence[str], splits: Sequence[str]) -> None:
        """Add completions, the right answer to each ("yes" or "no") and the split of its probe.

        Raises:
            DataError: A right answer or a split that there is not.
        """
        for kind, given, allowed in (("answer", answers, ("yes", "no")), ("split", splits, self.splits)):
            if not set(given) <= set(allowed):
                raise DataError(f"the {kind} of a probe must be one of {', '.join(allowed)}, got {sorted(set(given))}.")
        polled = [poll_answer(completion) for completion in completions]
        is_yes = torch.tensor([answer.is_yes for answer in polled], dtype=torch.bool)
        is_truly_yes = torch.tensor([answer == "yes" for answer in answers], dtype=torch.bool)
        for position, split in enumerate(self.splits):
            of_split = torch.tensor([given == split for given in splits], dtype=torch.bool)
            self.counts[position] += answer_counts(is_yes[of_split], is_truly_yes[of_split]).to(self.counts)
        self.num_silent += sum(not answer.is_stated for answer in polled)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores over all probes, and those of each split that was asked."""
        overall = yes_no_scores(self.counts.sum(0))
        values = {f"pope_{name}": score for name, score in overall._asdict().items()}
        values["pope_silent_fraction"] = self.num_silent / self.counts.sum().clamp_min(1)
        by_split = yes_no_scores(self.counts)
        for position, split in enumerate(self.splits):
            if self.counts[position].sum() > 0:
                values |= {f"pope_{name}_{split}": score[position] for name, score in by_split._asdict().items()}
        return values


class HallusionBenchMetric(Metric):
    """aAcc, fAcc and qAcc; the questions of one figure or group may lie on several ranks."""

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        """Start without answers."""
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, verdicts: Sequence[Verdict], questions: Sequence[HallusionQuestion]) -> None:
        """Add judged answers; ``read_verdict`` judges without a model."""
        self.rows.append(answer_rows(verdicts, questions).to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Share the rows; a rank without any shares none, in the right shape."""
        if not self.rows:
            self.rows.append(answer_rows([], []).to(self.device))
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """Return the three accuracies, and their mean, which leaderboards quote."""
        rows = dim_zero_cat(self.rows) if len(self.rows) else answer_rows([], []).to(self.device)
        scores = hallusion_scores(rows)
        return {
            "hallusion_question_accuracy": scores.question_accuracy,
            "hallusion_figure_accuracy": scores.figure_accuracy,
            "hallusion_group_accuracy": scores.group_accuracy,
            "hallusion_mean_accuracy": torch.stack(scores).mean(),
        }


class AmberMetric(Metric):
    """AMBER's CHAIR, Cover, Hal and Cog of free descriptions."""

    full_state_update = False
    counts: Tensor
    """In the order of ``AmberCounts``."""

    def __init__(self, vocabulary: AmberVocabulary) -> None:
        """Set the words that count."""
        super().__init__()
        self.vocabulary = vocabulary
        self.add_state("counts", torch.zeros(len(AmberCounts._fields), dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, completions: Sequence[str], truths: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> None:
        """Add descriptions, what the image of each shows, and what people would imagine there."""
        for completion, truth, likely in zip(completions, truths, targets, strict=True):
            self.counts += torch.tensor(amber_counts(completion, truth, likely, self.vocabulary)).to(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name."""
        return {f"amber_{name}": score for name, score in amber_scores(self.counts)._asdict().items()}


class BlindnessRate(Metric):
    """Share of completions that claim not to see the image, and the accuracy with and without that claim."""

    full_state_update = False
    num_completions: Tensor
    """(2,): completions that see, and that claim blindness. The other states alike."""

    num_judged: Tensor
    num_right: Tensor

    def __init__(self) -> None:
        """Start without completions."""
        super().__init__()
        for name in ("num_completions", "num_judged", "num_right"):
            self.add_state(name, torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, completions: Sequence[str], is_right: Sequence[bool] | None = None) -> None:
        """Add completions, reasoning included, and whether each one's answer is right where that is known."""
        for position, completion in enumerate(completions):
            is_blind = int(claims_blindness(completion))
            self.num_completions[is_blind] += 1
            if is_right is not None:
                self.num_judged[is_blind] += 1
                self.num_right[is_blind] += int(is_right[position])

    def compute(self) -> dict[str, Tensor]:
        """Return the share, and each accuracy that has a completion to judge."""
        values = {"blind_completions": self.num_completions[1] / self.num_completions.sum().clamp_min(1)}
        for position, name in enumerate(("seeing_accuracy", "blind_accuracy")):
            if self.num_judged[position] > 0:
                values[name] = self.num_right[position] / self.num_judged[position]
        return values
