"""What a round of probes says: counts by kind, rates for the log, and the worst completions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hallucination import JudgedCompletion, claim_counts
from hallucination.blindness import claims_blindness
from hallucination.chair import count_covered
from hallucination.rates import Counts, wilson_interval


@dataclass
class ProbeCounts:
    """Sums over completions, of one rank or of all: events and trials by name."""

    sums: dict[str, Counts] = field(default_factory=dict)

    def add(self, name: str, events: float, trials: float) -> None:
        """Count."""
        self.sums[name] = self.sums.get(name, Counts(0, 0)) + Counts(events, trials)

    def merged(self, others: Sequence["ProbeCounts"]) -> "ProbeCounts":
        """Return the sums over several ranks."""
        total = ProbeCounts(dict(self.sums))
        for other in others:
            for name, counts in other.sums.items():
                total.add(name, *counts)
        return total

    def rate(self, name: str) -> Counts:
        """Return the counts under a name."""
        return self.sums.get(name, Counts(0, 0))


def count(judged: Sequence[JudgedCompletion], *, kind_column: str, length_bounds: tuple[int, ...]) -> ProbeCounts:
    """Count claims and completions.

    Args:
        judged: completions with their claims.
        kind_column: column of a prompt that names the kind of question.
        length_bounds: completion lengths in tokens that part short from longer ones.
    """
    counts = ProbeCounts()
    for each in judged:
        prompt, completion, claims = each
        unsupported = each.num_unsupported
        counts.add("rate", *claim_counts([each]))
        counts.add("completions", unsupported > 0, 1)
        counts.add("claims_per_completion", len(claims), 1)
        counts.add("blindness", claims_blindness(completion.text), 1)
        if prompt.facts:
            counts.add("coverage", *count_covered(claims, prompt.facts))
            absent = sum(not claim.is_supported and claim.thing not in prompt.facts for claim in claims)
            counts.add("rate_absent", absent, len(claims))
            counts.add("rate_surplus", unsupported - absent, len(claims))
        if kind := prompt.columns.get(kind_column):
            counts.add(f"rate_of_{kind}", unsupported, len(claims))
        size = sum(len(completion.token_ids) > bound for bound in length_bounds)
        counts.add(f"rate_length_{size}", unsupported, len(claims))
    return counts


def rates(counts: ProbeCounts) -> dict[str, float]:
    """Return every rate that has trials by name, and ``rate`` always: 0 with the interval (0, 1) without a claim."""
    values = {name: each.rate for name, each in counts.sums.items() if each.trials}
    low, high = wilson_interval(counts.rate("rate"))
    return values | {"rate": counts.rate("rate").rate, "rate_low": low, "rate_high": high}


def worst(judged: Sequence[JudgedCompletion], num: int) -> list[JudgedCompletion]:
    """Return the completions with the most unsupported claims, of different prompts, worst first."""
    ordered = sorted(judged, key=lambda j: j.num_unsupported, reverse=True)
    seen: Counter[Any] = Counter()
    kept: list[JudgedCompletion] = []
    for each in ordered:
        seen[each.prompt.uid] += 1
        if seen[each.prompt.uid] == 1 and each.num_unsupported:
            kept.append(each)
    return kept[:num]
