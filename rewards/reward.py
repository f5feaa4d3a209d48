"""The hybrid reward: a weighted sum of parts, none of which can stop a run (R1V2, arXiv:2504.16656, eq. 7).

    total_i = sum over the parts that applied to sample i of  weight * gate_i * scaled(score_i)

Differs from the paper: it adds the three parts as they are. With every weight 1, no scaling and no gate this is
its equation.

A part that raises, returns NaN or infinity, or returns the wrong number of scores costs the samples it
failed on, for that part only. They are counted, so that a broken verifier shows up as failures and not as a
model that got worse.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt, RewardTable
from rewards.scaling import Reduce, Scaling

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

    scaling: Scaling | None = None
    """What a score goes through before it is weighted; null: nothing. See rewards/scaling.py."""

    gate: str | None = None
    """Name of another part: this one counts only where that one's score is above 0, as in "preference counts only
    when the answer is right"; null: always."""

    is_rule: bool | None = None
    """Whether the part decides which groups are effective; null: the reward says, and preference models say no.
    A continuous score hardly ever ties, so it would make every group look effective."""

    @property
    def decides(self) -> bool:
        """Whether the part decides which groups are effective."""
        return getattr(self.reward, "is_rule", True) if self.is_rule is None else self.is_rule


class WeightedReward:
    """Sums reward parts and contains their failures."""

    def __init__(self, parts: dict[str, RewardPart]) -> None:
        """Check the weights.

        Args:
            parts: the terms of the sum, by the name under which they are logged.
        """
        _check(parts)
        self.parts = dict(parts)
        self.weights = {name: part.weight for name, part in parts.items()}
        """Present weights; they start as configured and may be moved while training goes on."""
        self._logged: set[str] = set()

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[Completion], *, sum_over_ranks: Reduce | None = None
    ) -> RewardTable:
        """Score N completions with every part; the scores are (N,) tensors.

        Args:
            prompts: the prompt of each completion, repeated for siblings.
            completions: what to score.
            sum_over_ranks: adds a tensor up over ranks. It is given in training, when running statistics learn from
                these scores; None leaves the statistics as they are.
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
        if sum_over_ranks is not None:
            self._observe(scores, sum_over_ranks)
        rows = range(len(completions))
        weighted = {name: [self._weighted(name, scores, row) for row in rows] for name in self.parts}
        rules = [name for name, part in self.parts.items() if part.decides]
        return RewardTable(
            parts={name: _as_tensor(of_part) for name, of_part in scores.items()},
            # fsum: the order of the parts in the config does not change the total.
            totals=_as_tensor([math.fsum(values[row] for values in weighted.values()) for row in rows]),
            rule_totals=_as_tensor([math.fsum(weighted[name][row] for name in rules) for row in rows]),
            num_failures=num_failures,
        )

    def set_weight(self, part: str, weight: float) -> None:
        """Set the present weight of a part; the next scores are summed with it."""
        self.weights[part] = weight

    def state_dict(self) -> dict[str, Any]:
        """Return present weights and the state of the scalings; both may have moved."""
        scalings = {name: part.scaling.state_dict() for name, part in self.parts.items() if part.scaling is not None}
        return {"weights": dict(self.weights), "scalings": scalings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what this reward still has."""
        self.weights |= {name: weight for name, weight in state["weights"].items() if name in self.weights}
        for name, part in self.parts.items():
            if part.scaling is not None and name in state["scalings"]:
                part.scaling.load_state_dict(state["scalings"][name])

    def _observe(self, scores: Mapping[str, Sequence[float | None]], sum_over_ranks: Reduce) -> None:
        for name, part in self.parts.items():
            if part.scaling is not None:
                part.scaling.observe([score for score in scores[name] if score is not None], sum_over_ranks)

    def _weighted(self, name: str, scores: Mapping[str, Sequence[float | None]], row: int) -> float:
        part, score = self.parts[name], scores[name][row]
        if score is None or (part.gate is not None and not (scores[part.gate][row] or 0.0) > 0.0):
            return 0.0
        return self.weights[name] * (score if part.scaling is None else part.scaling(score))

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
    except (KeyboardInterrupt, SystemExit, ConfigError):
        raise
    # Not only Exception: math_verify's own timeout, which a user's reward may use, derives from BaseException.
    except BaseException as error:
        if len(completions) == 1:
            return [error]
        return [_call(reward, [p], [c])[0] for p, c in zip(prompts, completions, strict=True)]


def _as_tensor(scores: Sequence[float | None]) -> Tensor:
    return torch.tensor([math.nan if score is None else score for score in scores], dtype=torch.double)


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
        if part.gate is not None and part.gate not in parts:
            raise ConfigError(
                f"model.reward.parts.{name}.gate must be null or the name of a part, got {part.gate!r}: there are "
                f"{', '.join(parts)}."
            )
    if not any(part.decides for part in parts.values()):
        raise ConfigError(
            "model.reward.parts.*.is_rule: no part decides which groups are effective, so none would ever be learnt "
            "from: set is_rule: true for one, and model.advantage.tolerance to the difference that matters."
        )
    if all(part.weight == 0.0 for part in parts.values()):
        raise ConfigError(
            f"model.reward.parts.*.weight must not all be 0, got 0 for {', '.join(parts)}: every total would be 0 "
            "and nothing could be learned."
        )
