"""Confidence intervals of rates."""

import math


def wilson_interval(rate: float, trials: float | int, *, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (E. B. Wilson, 1927); (0, 1) without trials.

    Args:
        rate: observed share, in [0, 1].
        trials: out of how many; infinity for a rate that is known exactly.
        z: quantile of the normal distribution; 1.96 for 95 %.
    """
    if not trials:
        return 0.0, 1.0
    if math.isinf(trials):
        return rate, rate
    # Unlike p +- z sqrt(p (1 - p) / n), it has a width above 0 for a rate of 0 or 1.
    center = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return max(0.0, center - half), min(1.0, center + half)
