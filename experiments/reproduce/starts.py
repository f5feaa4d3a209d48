"""What runs started from: whether two can be compared seed by seed, and what a page says of it.

Runs of one seed are compared because they start from the same policy. Each stored run says which, by a digest of its
weights; two that say different ones are not compared, and of one that says nothing nothing is concluded.
"""

from collections.abc import Iterable, Mapping

from experiments.claims import Claim
from experiments.reproduce.stored import StoredRun

_RunsByArm = Mapping[str, Mapping[int, StoredRun]]


def differ(one: StoredRun, other: StoredRun) -> bool:
    """Return whether two runs are known to have started from different policies."""
    return None not in (one.start, other.start) and one.start != other.start


def told_of_claim(claim: Claim, runs: _RunsByArm) -> str:
    """Return what the page says of the starts of a claim's runs; empty where none are compared.

    Args:
        claim: the claim.
        runs: the stored runs by the names of arms.
    """
    different: dict[str, None] = {}
    unknown: set[int] = set()
    compared: set[int] = set()
    for of, than in dict.fromkeys((each.of, each.than) for each in claim.expectations if each.of != each.than):
        for seed, run in runs[of].items():
            if (other := runs[than].get(seed)) is None:
                continue
            if differ(run, other):
                different[f"seed {seed} of `{of}` (from {run.start}) and `{than}` (from {other.start})"] = None
                continue
            compared.add(seed)
            if None in (run.start, other.start):
                unknown.add(seed)
    parts: list[str] = []
    if different:
        parts.append(f"**Not compared**, because they started from different policies: {'; '.join(different)}.")
    if unknown:
        parts.append(f"Whether all runs of a seed started from the same policy is not recorded: {_seeds(unknown)}.")
    if known := compared - unknown:
        parts.append(f"All runs of a seed started from the same policy, by the digest of its weights: {_seeds(known)}.")
    return " ".join(parts)


def told_of_all(runs: Iterable[StoredRun]) -> str:
    """Return what the page says of the starts of all stored runs."""
    every = list(runs)
    unknown = [run for run in every if run.start is None]
    if not unknown:
        return "Each stored run says which policy it started from, by a digest of its weights."
    some = (
        "None of the stored runs says" if len(unknown) == len(every) else f"{len(unknown)} of {len(every)} do not say"
    )
    return (
        f"{some} which policy it started from, because it was made before runs kept a digest of its weights; the runs "
        "of one seed were made from one build of it."
    )


def _seeds(seeds: Iterable[int]) -> str:
    numbers = sorted(seeds)
    return f"seed{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
