"""Object hallucination in free text, CHAIR (Caption Hallucination Assessment with Image Relevance, arXiv:1809.02156).

    CHAIR_i = mentions of objects that are not there / all mentions of objects
    CHAIR_s = completions with such a mention / completions
    coverage = true objects mentioned / true objects        (recall in later scripts, Cover in AMBER)

Truth is the union of the annotated instances and of the objects that reference captions name. A mention counts each
time, but truth is a set: how many dogs there are does not matter. That is the difference to ``algorithms.claims``,
where the k-th "red-circle" of a clause needs k of them in the image. Both judge into ``Claim``, so the rates, the
coverage and the reports are the same for both. The metric is ``HallucinationRate`` in lightning_modules/metrics.py.

Differs from the authors' script: coverage is added; a text without a mention divides by one instead of by zero.
"""

from collections.abc import Collection, Iterable, Sequence

from algorithms.claims import Claim
from algorithms.objects import ObjectLexicon


def true_objects(labels: Iterable[str], captions: Iterable[str], lexicon: ObjectLexicon) -> frozenset[str]:
    """Return what an image shows, by canonical name.

    Args:
        labels: annotated instances; labels that are no objects of the lexicon cannot be mentioned and are left out.
        captions: reference captions; whatever they name is there.
        lexicon: knows the names.
    """
    named = {lexicon.name_of(label) for label in labels}
    return frozenset(name for name in named if name is not None).union(*map(lexicon.names_in, captions))


def find_object_claims(text: str, facts: Collection[str], lexicon: ObjectLexicon) -> list[Claim]:
    """Return every mention of an object in order, supported when the image shows that object at least once.

    Args:
        text: a completion.
        facts: canonical names of what the image shows, such as from ``true_objects``.
        lexicon: finds the mentions.
    """
    return [Claim(name, start, end, name in facts) for name, start, end in lexicon.find(text)]


def count_covered(claims: Sequence[Claim], facts: Collection[str]) -> tuple[int, int]:
    """Return how many different things of the facts are claimed, and how many there are.

    Args:
        claims: the claims of one completion, of this module or of ``algorithms.claims``.
        facts: what the image shows, spelled as in the claims; repeats do not count.
    """
    things = set(facts)
    return len(things & {claim.thing for claim in claims}), len(things)
