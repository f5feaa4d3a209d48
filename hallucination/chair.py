"""Object hallucination in free text, CHAIR (Caption Hallucination Assessment with Image Relevance, arXiv:1809.02156).

    CHAIR_i = mentions of objects that are not there / all mentions of objects
    CHAIR_s = completions with such a mention / completions
    coverage = true objects mentioned / true objects        (recall in later scripts, Cover in AMBER)

The truth is a set: the annotated instances, and the objects that reference captions name. Every mention counts, but
the number of dogs in the image does not matter. ``hallucination.claims`` differs: there the k-th "red-circle" of a
clause is supported when the image has k of them. Both return ``Claim`` records, so rates, coverage and reports are the
same for both. ``HallucinationRate`` adds them up.

Differs from the authors' script: coverage is added; a text without a mention divides by one instead of by zero.
"""

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from algorithms.records import Claim
from hallucination.judged import JudgedCompletion, claim_counts
from hallucination.objects import ObjectLexicon


def true_objects(labels: Iterable[str], captions: Iterable[str], lexicon: ObjectLexicon) -> frozenset[str]:
    """Return what an image shows, by canonical name.

    Args:
        labels: annotated instances; a label that is no object of the lexicon is left out, because no mention of it
            could be found.
        captions: reference captions; the image shows every object that they name.
        lexicon: names and synonyms of objects.
    """
    # A label must be one object as a whole (``name_of``); a caption may name several objects (``names_in``).
    named = {lexicon.name_of(label) for label in labels}
    return frozenset(name for name in named if name is not None).union(*map(lexicon.names_in, captions))


def find_object_claims(text: str, facts: Collection[str], lexicon: ObjectLexicon) -> list[Claim]:
    """Return every mention of an object in order, supported when the image shows that object at least once.

    Args:
        text: a completion.
        facts: canonical names of what the image shows, such as from ``true_objects``.
        lexicon: names and synonyms of objects.
    """
    # Repeats are claims of their own: CHAIR_i counts mentions.
    return [Claim(name, start, end, name in facts) for name, start, end in lexicon.find(text)]


def count_covered(claims: Sequence[Claim], facts: Collection[str]) -> tuple[int, int]:
    """Return how many different things of the facts are claimed, and how many different things the facts have.

    Args:
        claims: the claims of one completion, from this module or from ``hallucination.claims``.
        facts: what the image shows, spelled as in the claims; repeats do not count.
    """
    # A surplus repeat is an unsupported claim, but the thing it names is in the facts, so it counts as covered.
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
        # Sums only, so that ranks can add them up and the rates are ratios over all ranks.
        for name in (
            "num_claims", "num_unsupported", "num_completions", "num_with_unsupported", "num_facts", "num_covered",
        ):  # fmt: skip
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, judged: Sequence[JudgedCompletion]) -> None:
        """Add completions with their claims; completions whose prompt has no facts do not count for the coverage."""
        counts = claim_counts(judged)
        self.num_unsupported += counts.events
        self.num_claims += counts.trials
        self.num_completions += len(judged)
        # CHAIR_s: one event for a completion, however many of its claims are unsupported.
        self.num_with_unsupported += sum(each.num_unsupported > 0 for each in judged)
        for each in judged:
            # On POPE the answer of a prompt judges its claims, and the prompt has no facts: it adds nothing to the
            # coverage.
            num_covered, num_facts = count_covered(each.claims, each.prompt.facts or ())
            self.num_covered += num_covered
            self.num_facts += num_facts

    def compute(self) -> dict[str, Tensor]:
        """Return the rates, 0 where no claim was made; without completions, or without facts for the coverage, no
        rate."""
        # Without completions a rate of 0 would look like a policy without hallucinations.
        if self.num_completions == 0:
            return {}
        rates = {
            "hallucination_rate": self.num_unsupported / self.num_claims.clamp_min(1.0),
            "hallucinated_completions": self.num_with_unsupported / self.num_completions.clamp_min(1.0),
            "claims_per_completion": self.num_claims / self.num_completions.clamp_min(1.0),
        }
        return rates | ({"coverage": self.num_covered / self.num_facts} if self.num_facts > 0 else {})


class ChairMetric(HallucinationRate):
    """The counts of ``HallucinationRate`` under the benchmark's own names."""

    def compute(self) -> dict[str, Tensor]:
        """Return CHAIR_i, CHAIR_s and the coverage; an empty dictionary without completions."""
        names = {
            "hallucination_rate": "chair_i", "hallucinated_completions": "chair_s", "coverage": "chair_coverage",
            "claims_per_completion": "chair_mentions",
        }  # fmt: skip
        return {names[name]: value for name, value in super().compute().items()}
