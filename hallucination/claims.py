"""Claims that a regular expression finds in a completion, compared with facts in which repeats count.

A claim is a mention of a thing, such as "red-circle". A clause is a part of the text that lists each thing once, for
example to count the things. Within a clause, the k-th mention of a thing is supported when the image shows at least k
of this thing. Another clause may name the same thing again.

The claim-level hallucination rate is unsupported / all claims; the completion-level one is the share of
completions with an unsupported claim (CHAIR_i and CHAIR_s, arXiv:1809.02156, with repeats counted).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from algorithms.errors import ConfigError
from algorithms.records import Claim


@dataclass(frozen=True, kw_only=True)
class ClaimGrammar:
    """The regular expressions that find claims in a text."""

    mention: str
    """Regular expression of one mention; its whole match is compared with the facts."""

    clause_end: str = r"[=.;\n]"
    """Regular expression of the end of a clause."""

    def __post_init__(self) -> None:
        for key, pattern in (("mention", self.mention), ("clause_end", self.clause_end)):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(f"judge.{key} is not a regular expression: {error}.") from None


def find_claims(text: str, facts: Sequence[str], grammar: ClaimGrammar) -> list[Claim]:
    """Return every claim of the text in order, judged by the facts.

    Args:
        text: a completion.
        facts: what the image shows, one entry per thing, repeats counted.
        grammar: finds mentions and the ends of clauses.
    """
    available = Counter(facts)
    claims: list[Claim] = []
    clause_start = 0
    # The text after the last end is a clause too.
    ends = [match.end() for match in re.finditer(grammar.clause_end, text)]
    # The text may end inside of a clause.
    for clause_end in [*ends, len(text)]:
        # A new clause counts from zero: it may list the same things again.
        seen: Counter[str] = Counter()
        for match in re.finditer(grammar.mention, text[clause_start:clause_end]):
            thing = match.group()
            seen[thing] += 1
            # Positions are counted from the start of the whole text.
            start = clause_start + match.start()
            claims.append(Claim(thing, start, start + len(thing), seen[thing] <= available[thing]))
        clause_start = clause_end
    return claims
