"""AMBER's scores of free descriptions (arXiv:2311.07397).

    CHAIR = mentions of what is not there / mentions of known words
    Cover = true objects mentioned / true objects
    Hal   = completions with a mention of what is not there / completions
    Cog   = targets mentioned / targets

For each image a benchmark lists what is there and the *targets*: what people would imagine there although it is not. A
known word that covers no true object is a hallucination, unless it is a safe word; see ``amber_vocabulary.py``.

As in the authors' script, counts are summed over completions before dividing, and Cog is defined as above; the paper's
formula of Cog, targets mentioned / mentions, is ``cog_of_mentions``. Differs from that script:

- words are found by the object lexicon; the script takes nouns by a tagger, so "park" as a verb is no mention there;
- near-synonyms (spaCy vectors, similarity above 0.8 in the script) need ``is_similar``: no such model is required here;
- a word that is itself true covers that object, not the first true object that is associated with it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from algorithms.errors import DataError
from hallucination.amber_vocabulary import AmberVocabulary


class AmberCounts(NamedTuple):
    """Counts of one completion; the counts of many completions are their sums."""

    # The order is that of the tensors that the metric adds up.

    num_mentions: int
    num_hallucinated: int
    num_imagined: int
    """Hallucinated mentions that name a target."""

    num_true: int
    num_covered: int
    num_targets: int
    num_targets_named: int
    num_responses: int
    num_hallucinating: int
    """Completions with a hallucinated mention."""


class AmberScores(NamedTuple):
    """Scores in [0, 1], not in percent; 0 where the divisor is 0."""

    chair: Float[Tensor, ""]
    cover: Float[Tensor, ""]
    hal: Float[Tensor, ""]
    cog: Float[Tensor, ""]
    cog_of_mentions: Float[Tensor, ""]


def amber_counts(
    completion: str, truth: Sequence[str], targets: Sequence[str], vocabulary: AmberVocabulary
) -> AmberCounts:
    """Judge one description.

    Args:
        completion: the description.
        truth: what the image shows (``truth``).
        targets: what people would imagine there (``hallu``).
        vocabulary: the tables of the benchmark.

    Raises:
        DataError: An annotated word without an entry in the table, so that no text could ever name it.
    """
    _check_entries([*truth, *targets], vocabulary)
    mentions = [mention.name for mention in vocabulary.lexicon.find(completion)]
    covered: set[str] = set()
    named: set[str | None] = set()
    num_hallucinated = num_imagined = 0
    for word in mentions:
        # A safe word counts as a mention and as nothing else.
        if word in vocabulary.safe_words:
            continue
        true = vocabulary.covered_by(word, truth)  # the true object that this word covers
        if true is None:
            # One target by the table, another one by resemblance, and a true object by resemblance besides.
            imagined = {vocabulary.named_by(word, targets), vocabulary.similar_to(word, targets)} - {None}
            named |= imagined
            true = vocabulary.similar_to(word, truth)
            num_hallucinated += true is None
            num_imagined += true is None and bool(imagined)
        if true is not None:
            covered.add(true)
    return AmberCounts(
        num_mentions=len(mentions),
        num_hallucinated=num_hallucinated,
        num_imagined=num_imagined,
        num_true=len(truth),
        num_covered=len(covered),
        num_targets=len(targets),
        num_targets_named=len(named),
        num_responses=1,
        num_hallucinating=int(num_hallucinated > 0),
    )


def _check_entries(names: Sequence[str], vocabulary: AmberVocabulary) -> None:
    unknown = [name for name in names if name not in vocabulary.associations]
    if unknown:
        raise DataError(
            f"the table of associations has no entry for the annotated {unknown[0]!r}: add one, even if empty."
        )


def amber_scores(counts: Int[Tensor, "9"]) -> AmberScores:
    """Return the scores of summed counts, in the order of ``AmberCounts``."""
    total = dict(zip(AmberCounts._fields, counts, strict=True))  # name -> scalar

    def ratio(part: str, whole: str) -> Tensor:
        # A divisor of 0 has a dividend of 0 here: 0 / 1 instead of NaN.
        return total[part] / total[whole].clamp_min(1)

    return AmberScores(
        chair=ratio("num_hallucinated", "num_mentions"),
        cover=ratio("num_covered", "num_true"),
        hal=ratio("num_hallucinating", "num_responses"),
        cog=ratio("num_targets_named", "num_targets"),
        cog_of_mentions=ratio("num_imagined", "num_mentions"),
    )


class AmberMetric(Metric):
    """AMBER's CHAIR, Cover, Hal and Cog of free descriptions."""

    full_state_update = False
    counts: Tensor
    """(9,), in the order of ``AmberCounts``."""

    def __init__(self, vocabulary: AmberVocabulary) -> None:
        """Start from zero counts.

        Args:
            vocabulary: the known words of the benchmark.
        """
        super().__init__()
        self.vocabulary = vocabulary
        self.add_state("counts", torch.zeros(len(AmberCounts._fields), dtype=torch.long), dist_reduce_fx="sum")

    def update(
        self, completions: Sequence[str], truths: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> None:
        """Add descriptions, what the image of each shows, and what people would imagine there."""
        for completion, truth, imagined in zip(completions, truths, targets, strict=True):
            self.counts += torch.tensor(amber_counts(completion, truth, imagined, self.vocabulary)).to(self.counts)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name."""
        return {f"amber_{name}": score for name, score in amber_scores(self.counts)._asdict().items()}
