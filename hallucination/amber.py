"""AMBER's scores of free descriptions and of answers to yes/no questions (arXiv:2311.07397).

    descriptions, "generative":
    CHAIR = mentions of what is not there / mentions of known words
    Cover = true objects mentioned / true objects
    Hal   = completions with a mention of what is not there / completions
    Cog   = targets mentioned / targets

    answers, "discriminative": accuracy, precision, recall and F1 with *no* as the positive class, because a policy that
    imagines things fails to answer no AMBER score = (1 - CHAIR + F1) / 2

For each image the benchmark lists the objects that are there, and the *targets*: objects that are not there, but that
people would imagine there. A known word that covers no true object is a hallucination, unless it is a safe word; see
``amber_vocabulary.py``.

As in the authors' script, counts are summed over completions before dividing, and Cog is defined as above; the paper's
formula of Cog, targets mentioned / mentions, is ``cog_of_mentions``. Differs from that script:

- words are found by the object lexicon; the script finds nouns with a tagger, so that "park" as a verb is no mention
for it; - near-synonyms (spaCy vectors, similarity above 0.8 in the script) need ``is_similar``: no such model is
required here; - a word that names a true object covers this object, and not the first true object that it is associated
with; - answers are read by POPE's rule (``yes_no.poll_answer``); the script knows only an exact "Yes" or "No".
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from algorithms.errors import DataError
from hallucination.amber_vocabulary import AmberVocabulary
from hallucination.yes_no import answer_counts, poll_answer, yes_no_scores

AMBER_KINDS = ("existence", "attribute", "relation")


class AmberCounts(NamedTuple):
    """Counts of one completion; the counts of many completions are their sums."""

    # The metric adds up tensors in the order of these fields.

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
        targets: absent objects that people would imagine there (``hallu``).
        vocabulary: the tables of the benchmark.

    Raises:
        DataError: An annotated word without an entry in the table, so that no text could ever name it.
    """
    vocabulary.check([*truth, *targets])
    mentions = [mention.name for mention in vocabulary.lexicon.find(completion)]
    covered: set[str] = set()
    named: set[str | None] = set()
    num_hallucinated = num_imagined = 0
    for word in mentions:
        # A safe word counts as a mention, but it covers no object and names no target.
        if word in vocabulary.safe_words:
            continue
        true = vocabulary.covered_by(word, truth)  # the true object that this word covers
        if true is None:
            # A word can name one target by the table, a second target by resemblance, and a true object by resemblance
            # too.
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


class Description(NamedTuple):
    """A free description and the annotations of its image."""

    completion: str
    truth: Sequence[str]
    """What the image shows."""

    targets: Sequence[str]
    """Absent objects that people would imagine there."""


class Answer(NamedTuple):
    """A completion for a yes/no question."""

    completion: str
    is_truly_yes: bool
    kind: str
    """One of ``AMBER_KINDS``."""


class AmberMetric(Metric):
    """AMBER's scores of descriptions and of answers, and the AMBER score where both were given."""

    full_state_update = False
    counts: Tensor
    """(9,), in the order of ``AmberCounts``."""

    answers: Tensor
    """(kinds, 4): true no, false no, true yes, false yes."""

    def __init__(self, vocabulary: AmberVocabulary | None = None) -> None:
        """Start from zero counts.

        Args:
            vocabulary: the known words of the benchmark; None: there are no descriptions, only answers.
        """
        super().__init__()
        self.vocabulary = vocabulary
        self.add_state("counts", torch.zeros(len(AmberCounts._fields), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("answers", torch.zeros(len(AMBER_KINDS), 4, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, rows: Sequence[Description | Answer]) -> None:
        """Add descriptions and answers.

        Raises:
            DataError: an answer of an unknown kind, or a description without a vocabulary.
        """
        for row in rows:
            if isinstance(row, Description):
                self._add_description(row)
            else:
                self._add_answer(row)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores of descriptions, of answers and of both by name; scores without completions are left
        out."""
        values: dict[str, Tensor] = {}
        described = amber_scores(self.counts)
        has_descriptions = bool(self.counts[AmberCounts._fields.index("num_responses")])
        if has_descriptions:
            values |= {f"amber_{name}": score for name, score in described._asdict().items()}
        if self.answers.sum() > 0:
            overall, by_kind = yes_no_scores(self.answers.sum(0)), yes_no_scores(self.answers)
            values |= {f"amber_{_of_no(name)}": score for name, score in overall._asdict().items()}
            for position, kind in enumerate(AMBER_KINDS):
                if self.answers[position].sum() > 0:
                    of_kind = {_of_no(name): score[position] for name, score in by_kind._asdict().items()}
                    values |= {f"amber_{name}_{kind}": score for name, score in of_kind.items()}
            if has_descriptions:
                values["amber_score"] = (1 - described.chair + overall.f1) / 2
        return values

    def _add_description(self, row: Description) -> None:
        if self.vocabulary is None:
            raise DataError("a description of AMBER can only be judged by its tables of words, and none are given.")
        self.counts += torch.tensor(amber_counts(*row, self.vocabulary)).to(self.counts)

    def _add_answer(self, row: Answer) -> None:
        if row.kind not in AMBER_KINDS:
            raise DataError(f"the kind of a question must be one of {', '.join(AMBER_KINDS)}, got {row.kind!r}.")
        says_no = torch.tensor([not poll_answer(row.completion).is_yes])
        self.answers[AMBER_KINDS.index(row.kind)] += answer_counts(says_no, torch.tensor([not row.is_truly_yes])).to(
            self.answers
        )


def _of_no(name: str) -> str:
    # ``yes_no_scores`` calls the share of the positive class yes_ratio, and AMBER's positive class is no.
    return "no_ratio" if name == "yes_ratio" else name
