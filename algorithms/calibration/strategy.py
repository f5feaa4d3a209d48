"""What a threshold strategy reads, and what it decides.

R1V2 (arXiv:2504.16656) says that too strong a reinforcement signal causes visual hallucination, and that reward
thresholds are calibrated against it. The paper describes no mechanism. Everything in this folder is this project's own
choice.

A strategy is a pure function of what was measured, as a class with settings. A config names the class by
``class_path``: a strategy of your own is one file with a subclass of ``ThresholdStrategy``, and nothing here changes.

``stricter`` is the direction in which the preference reward gets less influence: down for a cap or a weight, up for
the margin tau of preference pairs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Reading(NamedTuple):
    """What was measured at one moment."""

    # Also the order in which the calibrator's checkpoints store the values.
    step: int
    """Optimizer step."""

    rate: float
    """The monitored rate, such as the hallucination rate; a share."""

    reward: float
    """Mean score of the reward that the threshold bounds, since the reading before."""

    trials: float = math.inf
    """What the rate is a share of, such as the number of claims; infinity where the rate is known exactly."""


class Evidence(NamedTuple):
    """Everything that a decision may use."""

    readings: Sequence[Reading]
    """All readings, oldest first; the strategy acts on the last one."""

    # Empty until the first rollout has been scored.
    scores: Sequence[float] = ()
    """Newest scores of the reward that the threshold bounds."""


class Decision(NamedTuple):
    """The threshold from now on, and why."""

    threshold: float
    reason: str
    """A few words for the log."""

    lacks_evidence: bool = False
    """Whether the threshold stays because too little was measured, and not because all is well."""


class ThresholdStrategy:
    """How a threshold follows the evidence."""

    def check_start(self, name: str, start: float) -> None:
        """Refuse a threshold from which the strategy cannot start; by default every threshold is accepted.

        Args:
            name: the threshold as a config names it.
            start: its value when training starts or goes on.
        """

    def decide(self, present: float, evidence: Evidence, sign: int) -> Decision:
        """Return the next threshold.

        Args:
            present: the threshold now.
            evidence: what was measured.
            sign: +1 where a larger threshold is stricter (tau), -1 where a smaller one is (a cap, a weight).
        """
        raise TypeError(f"{type(self).__name__} must define decide()")
