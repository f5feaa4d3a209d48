"""The results of a round of probes: counts, rates for the log, and the completions to show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hallucination import JudgedCompletion, claim_counts
from hallucination.blindness import claims_blindness
from hallucination.chair import count_covered
from hallucination.rates import Counts, wilson_interval


@dataclass
class ProbeCounts:
    """Sums over the completions of one rank or of all ranks: events and trials, by the name of their rate."""

    sums: dict[str, Counts] = field(default_factory=dict)

    def add(self, name: str, events: float, trials: float) -> None:
        """Add to the counts under a name."""
        self.sums[name] = self[name] + Counts(events, trials)

    def __getitem__(self, name: str) -> Counts:
        return self.sums.get(name, Counts(0, 0))

    @staticmethod
    def total(of_ranks: Iterable["ProbeCounts"]) -> "ProbeCounts":
        """Return the sums over several ranks."""
        total = ProbeCounts()
        for counts in of_ranks:
            for name, (events, trials) in counts.sums.items():
                total.add(name, events, trials)
        return total


def count(judged: Sequence[JudgedCompletion], *, kind_column: str, length_bounds: Sequence[int]) -> ProbeCounts:
    """Count claims and completions.

    Args:
        judged: completions with their claims.
        kind_column: column of a prompt that names the kind of question.
        length_bounds: completion lengths in tokens that separate shorter completions from longer ones.
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
            # Unsupported claims of a thing that the image shows: more of it was claimed than there is.
            counts.add("rate_absent", absent, len(claims))
            counts.add("rate_surplus", unsupported - absent, len(claims))
        if kind := prompt.columns.get(kind_column):
            counts.add(f"rate_of_{kind}", unsupported, len(claims))
        # Number of the length class; class 0 reaches up to the first bound.
        length = sum(len(completion.token_ids) > bound for bound in length_bounds)
        counts.add(f"rate_length_{length}", unsupported, len(claims))
    return counts


def rates(counts: ProbeCounts) -> dict[str, float]:
    """Return the rates with trials by name. ``rate`` is always there: without a claim it is 0 with interval (0, 1)."""
    # Without trials there is no rate: a kind of question without claims gets no point in its curve.
    values = {name: each.rate for name, each in counts.sums.items() if each.trials}
    low, high = wilson_interval(counts["rate"])
    return values | {"rate": counts["rate"].rate, "rate_low": low, "rate_high": high}


def most_unsupported(judged: Sequence[JudgedCompletion], num: int) -> list[JudgedCompletion]:
    """Return the completions with the most unsupported claims, most first; at most one of each prompt."""
    one_of_prompt: dict[int, JudgedCompletion] = {}
    for each in sorted(judged, key=lambda each: each.num_unsupported, reverse=True):
        # In this order a prompt's first completion has the most unsupported claims.
        one_of_prompt.setdefault(each.prompt.uid, each)
    return [each for each in one_of_prompt.values() if each.num_unsupported][:num]
