"""Which statements of a completion about its image are true: claims against facts.

A claim is a mention of a thing, such as "red-circle". A clause is a part of the text that lists things
once, such as one count. Within a clause, the k-th mention of a thing is supported when the image contains
at least k of it. Another clause may name the same thing again.

The claim-level hallucination rate is unsupported / all claims; the completion-level one is the share of
completions with an unsupported claim (CHAIR_i and CHAIR_s, arXiv:1809.02156, with repeats counted).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ClaimGrammar:
    """How to find claims in a text."""

    mention: str
    """Regular expression of one mention; its whole match is compared with the facts."""

    clause_end: str = r"[=.;\n]"
    """Regular expression of what ends a clause."""

    def __post_init__(self) -> None:
        for key in ("mention", "clause_end"):
            try:
                re.compile(getattr(self, key))
            except re.error as error:
                raise ConfigError(f"claims.{key} is not a regular expression: {error}.") from None


@dataclass(frozen=True, slots=True)
class Claim:
    """One mention and whether the facts support it."""

    thing: str
    start: int
    """Position of its first character in the text."""

    end: int
    """Position after its last character."""

    is_supported: bool


def find_claims(text: str, facts: Sequence[str], grammar: ClaimGrammar) -> list[Claim]:
    """Return every claim of the text in order, judged against the facts."""
    available = Counter(facts)  # thing -> how many the image contains
    claims: list[Claim] = []
    clause_start = 0
    # The text after the last end is a clause too.
    ends = [match.end() for match in re.finditer(grammar.clause_end, text)]
    for clause_end in [*ends, len(text)]:
        seen: Counter[str] = Counter()  # counted anew in each clause
        for match in re.finditer(grammar.mention, text[clause_start:clause_end]):
            thing = match.group()
            seen[thing] += 1
            start = clause_start + match.start()
            claims.append(Claim(thing, start, start + len(thing), seen[thing] <= available[thing]))
        clause_start = clause_end
    return claims
