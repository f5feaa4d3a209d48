"""Means over seeds with 95 % confidence intervals (Student's t), and differences between two sets of runs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it; a single value has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int
    """Number of values, or of pairs of values."""


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of one value per seed.

    Args:
        values: one or more values.

    Raises:
        ValueError: without any value.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    if len(values) == 1:
        return Interval(values[0], None, None, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return _around(statistics.fmean(values), error, len(values) - 1, len(values))


def difference(ours: Mapping[int | None, float], baseline: Mapping[int | None, float]) -> Interval:
    """Return how much larger one set of runs is than another.

    Runs of one seed start from the same model and see the same prompts. So when both sets have the same seeds, the
    interval is that of the differences seed by seed. Otherwise it is Welch's interval for two independent sets.

    Args:
        ours: values by seed.
        baseline: values by seed of the other set.
    """
    if set(ours) == set(baseline):
        return mean_interval([ours[seed] - baseline[seed] for seed in ours])
    # Other seeds on both sides: no value has a partner.
    (a, b), n = (list(ours.values()), list(baseline.values())), min(len(ours), len(baseline))
    mean = statistics.fmean(a) - statistics.fmean(b)
    if n < 2:
        return Interval(mean, None, None, n)
    of_a, of_b = (statistics.variance(values) / len(values) for values in (a, b))
    if of_a + of_b == 0.0:
        return Interval(mean, mean, mean, n)
    # Welch and Satterthwaite's degrees of freedom. Shares, because squares of tiny variances are 0.
    share = of_a / (of_a + of_b)
    freedom = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    return _around(mean, math.sqrt(of_a + of_b), freedom, n)


def _around(mean: float, standard_error: float, freedom: float, n: int) -> Interval:
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * standard_error
    return Interval(mean, mean - half, mean + half, n)
