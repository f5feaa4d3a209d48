"""Evidence for calibration strategies, written by hand."""

from algorithms.calibration import Evidence, Reading


def evidence(*rates: float, rewards: tuple[float, ...] = (), scores: tuple[float, ...] = ()) -> Evidence:
    """Return readings ten steps apart; without rewards, each is 0."""
    rewards = rewards or (0.0,) * len(rates)
    readings = [Reading(10 * i, rate, reward) for i, (rate, reward) in enumerate(zip(rates, rewards, strict=True))]
    return Evidence(readings, scores)
