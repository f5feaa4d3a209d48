"""Evidence for calibration strategies, written by hand."""

import math

from algorithms.calibration import Evidence, Reading


def evidence(
    *rates: float, rewards: tuple[float, ...] = (), scores: tuple[float, ...] = (), claims: float = math.inf
) -> Evidence:
    """Return readings ten steps apart; without rewards, each is 0; without claims, rates are exact."""
    rewards = rewards or (0.0,) * len(rates)
    pairs = zip(rates, rewards, strict=True)
    return Evidence([Reading(10 * i, rate, reward, claims) for i, (rate, reward) in enumerate(pairs)], scores)
