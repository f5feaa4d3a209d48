"""The hybrid reward: a weighted sum of parts, none of which can stop a run (R1V2, arXiv:2504.16656, eq. 7).

    total_i = sum over the parts that applied to sample i of weight * score_i

A part that raises, returns NaN or infinity, or returns the wrong number of scores costs the samples it
failed on, for that part only. They are counted, so that a broken verifier shows up as failures and not as a
model that got worse.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt

logger = logging.getLogger(__name__)


class Reward(Protocol):
    """Scores completions, each for the prompt at the same position."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion: None where the reward does not apply, NaN where it failed."""
        ...


@dataclass(frozen=True, slots=True)
class RewardPart:
    """One term of the weighted sum."""

    reward: Reward
    """What scores the completions; any callable with the signature of ``Reward``."""

    weight: float = 1.0
    """Factor of its scores in the total; 0 logs the part without training on it, below 0 is a penalty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTable:
    """The scores of a batch of completions, in the order of the completions."""

    parts: dict[str, list[float | None]]
    """Unweighted scores by part; None where the part did not apply or failed."""

    totals: list[float]
    """Weighted sum of the parts that applied; 0 where none did."""

    num_failures: dict[str, int]
    """Samples each part failed on."""


class WeightedReward:
    """Sums reward parts and contains their failures."""

    def __init__(self, parts: dict[str, RewardPart]) -> None:
        """Check the weights.

        Args:
            parts: the terms of the sum, by the name under which they are logged.
        """
        _check(parts)
        self.parts = dict(parts)
        self._logged: set[str] = set()

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> RewardTable:
        """Score every completion with every part.

        Args:
            prompts: the prompt of each completion, repeated for siblings.
            completions: what to score.
        """
        if len(prompts) != len(completions):
            raise ValueError(f"{len(prompts)} prompts for {len(completions)} completions: repeat them per completion.")
        scores: dict[str, list[float | None]] = {}
        num_failures: dict[str, int] = {}
        for name, part in self.parts.items():
            outcomes = [_score_or_error(raw) for raw in _call(part.reward, prompts, completions)]
            errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            scores[name] = [None if isinstance(outcome, BaseException) else outcome for outcome in outcomes]
            num_failures[name] = len(errors)
            if errors:
                self._log_once(name, errors, len(completions))
        totals = [self._total(scores, row) for row in range(len(completions))]
        return RewardTable(parts=scores, totals=totals, num_failures=num_failures)

    def _total(self, scores: Mapping[str, Sequence[float | None]], row: int) -> float:
        weighted = ((part.weight, scores[name][row]) for name, part in self.parts.items())
        return math.fsum(weight * score for weight, score in weighted if score is not None)

    def _log_once(self, name: str, errors: Sequence[BaseException], num_samples: int) -> None:
        if name in self._logged:
            return
        self._logged.add(name)
        logger.warning(
            "Reward part %r failed on %d of %d samples; they get no score from it. First cause: %r. "
            "Further failures of this part are only counted.",
            name,
            len(errors),
            num_samples,
            errors[0],
        )


def _call(reward: Reward, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[Any]:
    """Return one raw score or exception per sample; a batch that fails is retried sample by sample."""
    if not completions:
        return []
    try:
        scores = list(reward(prompts, completions))
        if len(scores) != len(completions):
            raise ValueError(f"returned {len(scores)} scores for {len(completions)} completions")
        return scores
    except (KeyboardInterrupt, SystemExit):
        raise
    # Not only Exception: math_verify's own timeout, which a user's reward may use, derives from BaseException.
    except BaseException as error:
        if len(completions) == 1:
            return [error]
        return [_call(reward, [p], [c])[0] for p, c in zip(prompts, completions, strict=True)]


def _score_or_error(raw: Any) -> float | BaseException | None:
    if raw is None or isinstance(raw, BaseException):
        return raw
    try:
        score = float(raw)
    except (TypeError, ValueError, RuntimeError) as error:
        return error
    return score if math.isfinite(score) else ValueError(f"returned {score}")


def _check(parts: Mapping[str, RewardPart]) -> None:
    if not parts:
        raise ConfigError(
            "model.reward.parts must name at least one reward, got none: without a reward nothing can be learned."
        )
    for name, part in parts.items():
        if not math.isfinite(part.weight):
            raise ConfigError(
                f"model.reward.parts.{name}.weight must be a finite number, got {part.weight}: "
                "one such weight makes every total infinite or undefined."
            )
    if all(part.weight == 0.0 for part in parts.values()):
        raise ConfigError(
            f"model.reward.parts.*.weight must not all be 0, got 0 for {', '.join(parts)}: every total would be 0 "
            "and nothing could be learned."
        )
