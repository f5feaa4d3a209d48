"""AMBER's scores of free descriptions (arXiv:2311.07397).

    CHAIR = mentions of what is not there / mentions of known words
    Cover = true objects mentioned / true objects
    Hal   = responses with a mention of what is not there / responses
    Cog   = targets mentioned / targets

A benchmark gives for each image what is there and the *targets*: what people would imagine there although it is not. It
also gives one table of associated words: "desk" covers a true "table", "window" covers a true "car". A known word that
covers nothing true is a hallucination, unless it is on the benchmark's list of safe words.

Follows the authors' script in summing over responses before dividing, and in Cog; the paper's formula of Cog, targets
mentioned / mentions, is ``cog_of_mentions``. Differs from that script:

- words are found by the object lexicon; the script takes nouns by a tagger, so "park" as a verb is no mention there;
- near-synonyms (spaCy vectors, similarity above 0.8 in the script) need ``is_similar``: no such model is required here;
- a word that is itself true covers that object, not the first true object that is associated with it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from algorithms.errors import DataError
from hallucination.objects import ObjectLexicon


class AmberVocabulary:
    """The words that count, and what each of them covers."""

    def __init__(
        self,
        associations: Mapping[str, Sequence[str]],
        safe_words: Collection[str] = (),
        is_similar: Callable[[str, str], bool] | None = None,
    ) -> None:
        """Keep the tables of a benchmark.

        Args:
            associations: word -> words that cover it (``relation.json``).
            safe_words: words that are never wrong and cover nothing (``safe_words.txt``).
            is_similar: tells near-synonyms; without it only the table counts.
        """
        self.associations = associations
        self.safe_words = frozenset(safe_words)
        self.is_similar = is_similar

    @cached_property
    def lexicon(self) -> ObjectLexicon:
        """Finds the known words; each stands for itself."""
        words = dict.fromkeys([*self.associations, *(word for others in self.associations.values() for word in others)])
        return ObjectLexicon(dict.fromkeys(words, ()))

    def covered_by(self, word: str, names: Iterable[str]) -> str | None:
        """Return which of the names a word covers by the table; None when none."""
        names = list(names)
        if word in names:
            return word
        return next((name for name in names if word in self.associations[name]), None)

    def similar_to(self, word: str, names: Iterable[str]) -> str | None:
        """Return which of the names, or of the words that cover it, is nearly the word; None when none."""
        if self.is_similar is None:
            return None
        for name in names:
            if any(self.is_similar(word, other) for other in (name, *self.associations[name])):
                return name
        return None


class AmberCounts(NamedTuple):
    """Counts of one response; those of many are their sums."""

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
    """Responses with a hallucinated mention."""


class AmberScores(NamedTuple):
    """Scores in [0, 1], not in percent; 0 where nothing is to be divided."""

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
        DataError: An annotated word that the table does not know, so that no text could ever name it.
    """
    unknown = [name for name in (*truth, *targets) if name not in vocabulary.associations]
    if unknown:
        raise DataError(
            f"the table of associations has no entry for the annotated {unknown[0]!r}: add one, even if empty."
        )
    mentions = [mention.name for mention in vocabulary.lexicon.find(completion)]
    covered: set[str] = set()
    named: set[str] = set()
    num_hallucinated = num_imagined = 0
    for word in mentions:
        if word in vocabulary.safe_words:
            continue
        true = vocabulary.covered_by(word, truth)
        if true is None:
            target = vocabulary.covered_by(word, targets) or vocabulary.similar_to(word, targets)
            named.update([target] if target is not None else [])
            true = vocabulary.similar_to(word, truth)
            num_hallucinated += true is None
            num_imagined += true is None and target is not None
        covered.update([true] if true is not None else [])
    return AmberCounts(
        num_mentions=len(mentions),
        num_hallucinated=num_hallucinated,
        num_imagined=num_imagined,
        num_true=len(set(truth)),
        num_covered=len(covered),
        num_targets=len(set(targets)),
        num_targets_named=len(named),
        num_responses=1,
        num_hallucinating=int(num_hallucinated > 0),
    )


def amber_scores(counts: Int[Tensor, "9"]) -> AmberScores:
    """Return the scores of summed counts, in the order of ``AmberCounts``."""
    total = dict(zip(AmberCounts._fields, counts, strict=True))

    def ratio(part: str, whole: str) -> Tensor:
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
