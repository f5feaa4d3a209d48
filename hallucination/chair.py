"""Object hallucination in free text, CHAIR (Caption Hallucination Assessment with Image Relevance, arXiv:1809.02156).

    CHAIR_i = mentions of objects that are not there / all mentions of objects
    CHAIR_s = completions with such a mention / completions
    coverage = true objects mentioned / true objects        (recall in later scripts, Cover in AMBER)

Truth is the union of the annotated instances and of the objects that reference captions name. A mention counts each
time, but truth is a set: how many dogs there are does not matter. That is the difference to ``hallucination.claims``,
where the k-th "red-circle" of a clause needs k of them in the image. Both return ``Claim`` objects, so the rates, the
coverage and the reports are the same for both. ``HallucinationRate`` adds them up.

Differs from the authors' script: coverage is added; a text without a mention divides by one instead of by zero.
"""

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from hallucination.claims import Claim
from hallucination.objects import ObjectLexicon


def true_objects(labels: Iterable[str], captions: Iterable[str], lexicon: ObjectLexicon) -> frozenset[str]:
    """Return what an image shows, by canonical name.

    Args:
        labels: annotated instances; labels that are no objects of the lexicon cannot be mentioned and are left out.
        captions: reference captions; the image shows every object that they name.
        lexicon: maps words to canonical names.
    """
    # name_of for a label, which must be one object as a whole; names_in for a caption, which may name several.
    named = {lexicon.name_of(label) for label in labels}
    return frozenset(name for name in named if name is not None).union(*map(lexicon.names_in, captions))


def find_object_claims(text: str, facts: Collection[str], lexicon: ObjectLexicon) -> list[Claim]:
    """Return every mention of an object in order, supported when the image shows that object at least once.

    Args:
        text: a completion.
        facts: canonical names of what the image shows, such as from ``true_objects``.
        lexicon: finds the mentions.
    """
    # Repeats are claims of their own: CHAIR_i counts mentions.
    return [Claim(name, start, end, name in facts) for name, start, end in lexicon.find(text)]


def count_covered(claims: Sequence[Claim], facts: Collection[str]) -> tuple[int, int]:
    """Return how many different things of the facts are claimed, and how many there are.

    Args:
        claims: the claims of one completion, of this module or of ``hallucination.claims``.
        facts: what the image shows, spelled as in the claims; repeats do not count.
    """
    # As a set: coverage is about whether a thing is mentioned, not how often.
    things = set(facts)
    return len(things & {claim.thing for claim in claims}), len(things)


class HallucinationRate(Metric):
    """Share of claims, and of completions, that the facts do not support (CHAIR_i and CHAIR_s), and coverage."""

    full_state_update = False
    num_claims: Tensor
    num_unsupported: Tensor
    num_completions: Tensor
    num_with_unsupported: Tensor
    num_facts: Tensor
    num_covered: Tensor

    def __init__(self) -> None:
        """Start from zero claims."""
        super().__init__()
        for name in (
            "num_claims", "num_unsupported", "num_completions", "num_with_unsupported", "num_facts", "num_covered",
        ):  # fmt: skip
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, claims: Sequence[Sequence[Claim]], facts: Sequence[Collection[str]] | None = None) -> None:
        """Add completions, each given by its judged claims; coverage needs what each one's image shows."""
        for claimed, shown in zip(claims, facts, strict=True) if facts is not None else ():
            num_covered, num_facts = count_covered(claimed, shown)
            self.num_covered += num_covered
            self.num_facts += num_facts
        for claimed in claims:
            unsupported = sum(not claim.is_supported for claim in claimed)
            self.num_claims += len(claimed)
            self.num_unsupported += unsupported
            self.num_completions += 1
            self.num_with_unsupported += unsupported > 0

    def compute(self) -> dict[str, Tensor]:
        """Return the rates, 0 when nothing was claimed; nothing without completions, ``coverage`` only with facts."""
        if self.num_completions == 0:
            return {}
        rates = {
            "hallucination_rate": self.num_unsupported / self.num_claims.clamp_min(1.0),
            "hallucinated_completions": self.num_with_unsupported / self.num_completions.clamp_min(1.0),
            "claims_per_completion": self.num_claims / self.num_completions.clamp_min(1.0),
        }
        return rates | ({"coverage": self.num_covered / self.num_facts} if self.num_facts > 0 else {})
