"""The hybrid reward: a weighted sum of parts, none of which can stop a run (R1V2, arXiv:2504.16656, eq. 7).

    total_i = sum over the parts that applied to sample i of  weight * gate_i * scaled(score_i)

Differs from the paper: it adds the three parts as they are. With every weight 1, no scaling and no gate this is
its equation.

A part may raise, return NaN or infinity, or return the wrong number of scores. The samples on which it failed then
get no score from this part; all their other scores stay. Failures are counted, so that a broken verifier is not
mistaken for a model that became worse.

Shapes: N completions; the scores of one part are (N,).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt, RewardTable
from rewards.scaling import Reduce, Scaling

logger = logging.getLogger(__name__)


class Reward(Protocol):
    """Scores completions, each for the prompt at the same position.

    Any callable with this signature is a reward. One without the attribute ``is_rule`` counts as a rule.
    """

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion: None where the reward does not apply, NaN where it failed."""
        ...


@runtime_checkable
class DeclaredReward(Reward, Protocol):
    """A reward that declares whether it is a rule; a preference model declares False."""

    is_rule: bool
    """Whether its scores decide which groups are effective, unless ``RewardPart.is_rule`` is set."""


@dataclass(frozen=True, slots=True)
class RewardPart:
    """One term of the weighted sum."""

    reward: Reward
    """What scores the completions; any callable with the signature of ``Reward``."""

    weight: float = 1.0
    """Factor of its scores in the total; 0 logs the part without training on it, below 0 is a penalty."""

    scaling: Scaling | None = None
    """Maps a score before it is weighted, see rewards/scaling.py; null leaves it as it is."""

    gate: str | None = None
    """Name of another part: this one is added only where the score of the other is above 0, such as a preference only
    where the answer is right; null: always."""

    is_rule: bool | None = None
    """Whether the part decides which groups are effective; null: as the reward declares, which ``PreferenceReward``
    does with False. Continuous scores are hardly ever equal, so they would make every group effective."""

    @property
    def decides_effectiveness(self) -> bool:
        """Whether the part decides which groups are effective."""
        if self.is_rule is not None:
            return self.is_rule
        return self.reward.is_rule if isinstance(self.reward, DeclaredReward) else True


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
        """Present weights by part; they start as configured, and a calibrator may move them during training."""
        # Parts whose first failure is in the log.
        self._logged: set[str] = set()

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[Completion], *, sum_over_ranks: Reduce | None = None
    ) -> RewardTable:
        """Return the scores of N completions in every part, and their totals, as (N,) tensors.

        Args:
            prompts: the prompt of each completion, repeated for the completions of one prompt.
            completions: what to score.
            sum_over_ranks: adds a tensor up over ranks. Give it in training, so that running statistics are updated
                with these scores; None leaves the statistics as they are.
        """
        if len(prompts) != len(completions):
            raise ValueError(f"{len(prompts)} prompts for {len(completions)} completions: repeat them per completion.")
        scores: dict[str, list[float | None]] = {}
        num_failures: dict[str, int] = {}
        for name, part in self.parts.items():
            # One score, None or exception for each completion.
            outcomes = [_score_or_error(raw) for raw in _call(part.reward, prompts, completions)]
            errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            scores[name] = [None if isinstance(outcome, BaseException) else outcome for outcome in outcomes]
            num_failures[name] = len(errors)
            if errors:
                self._log_once(name, errors, len(completions))
        # Before the scores are scaled: the statistics of a scaling include this rollout.
        if sum_over_ranks is not None:
            self._observe(scores, sum_over_ranks)
        rows = range(len(completions))
        # By part, one value for each completion: what the part adds to its total.
        weighted = {name: [self._weighted(name, scores, row) for row in rows] for name in self.parts}
        rules = [name for name, part in self.parts.items() if part.decides_effectiveness]
        return RewardTable(
            parts={name: _as_tensor(of_part) for name, of_part in scores.items()},
            # fsum is exact, so the order of the parts in the config does not change the total.
            totals=_as_tensor([math.fsum(values[row] for values in weighted.values()) for row in rows]),
            rule_totals=_as_tensor([math.fsum(weighted[name][row] for name in rules) for row in rows]),
            num_failures=num_failures,
        )

    def set_weight(self, part: str, weight: float) -> None:
        """Set the present weight of a part; the next scores are summed with it."""
        self.weights[part] = weight

    def state_dict(self) -> dict[str, Any]:
        """Return the present weights and the state of the scalings; both may change during training."""
        scalings = {name: part.scaling.state_dict() for name, part in self.parts.items() if part.scaling is not None}
        return {"weights": dict(self.weights), "scalings": scalings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the parts of a saved state that this reward has."""
        # A resumed run may have other parts than the run that was saved.
        self.weights |= {name: weight for name, weight in state["weights"].items() if name in self.weights}
        for name, part in self.parts.items():
            if part.scaling is not None and name in state["scalings"]:
                part.scaling.load_state_dict(state["scalings"][name])

    def _observe(self, scores: Mapping[str, Sequence[float | None]], sum_over_ranks: Reduce) -> None:
        for name, part in self.parts.items():
            # Also without any score: summing over ranks is a collective call.
            if part.scaling is not None:
                part.scaling.observe([score for score in scores[name] if score is not None], sum_over_ranks)

    def _weighted(self, name: str, scores: Mapping[str, Sequence[float | None]], row: int) -> float:
        """Return what a part adds to the total of one completion."""
        part, score = self.parts[name], scores[name][row]
        # The raw score of the other part opens the gate; a missing one keeps it closed.
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
    """Return one raw score or exception per completion; a batch that fails is repeated one completion at a time."""
    if not completions:
        return []
    try:
        scores = list(reward(prompts, completions))
        if len(scores) != len(completions):
            raise ValueError(f"returned {len(scores)} scores for {len(completions)} completions")
        return scores
    # These stop the run: the user ended it, or a setting is wrong for every completion.
    except (KeyboardInterrupt, SystemExit, ConfigError):
        raise
    # Not only Exception: the timeout of math_verify, which a user's reward may call, derives from BaseException.
    except BaseException as error:
        if len(completions) == 1:
            return [error]
        return [_call(reward, [p], [c])[0] for p, c in zip(prompts, completions, strict=True)]


def _as_tensor(scores: Sequence[float | None]) -> Tensor:
    return torch.tensor([math.nan if score is None else score for score in scores], dtype=torch.double)


def _score_or_error(raw: Any) -> float | BaseException | None:
    """Return what a reward returned for one completion as a finite number, None, or the error that explains it."""
    if raw is None or isinstance(raw, BaseException):
        return raw
    try:
        # A reward may return tensors or numpy numbers.
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
    if not any(part.decides_effectiveness for part in parts.values()):
        raise ConfigError(
            "model.reward.parts.*.is_rule: no part decides which groups are effective, so none would ever be learnt "
            "from: set is_rule: true for one, and model.advantage.tolerance to the difference that matters."
        )
    if all(part.weight == 0.0 for part in parts.values()):
        raise ConfigError(
            f"model.reward.parts.*.weight must not all be 0, got 0 for {', '.join(parts)}: every total would be 0 "
            "and nothing could be learned."
        )
