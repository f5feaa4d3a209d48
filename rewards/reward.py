"""The hybrid reward: a weighted sum of parts, none of which can stop a run (R1V2, arXiv:2504.16656, eq. 7).

    total_i = sum over the parts that applied to sample i of  weight * gate_i * scaled(score_i)

Differs from the paper: it adds the three parts as they are. With every weight 1, no scaling and no gate this is
its equation.

A part may raise, return NaN or infinity, or return the wrong number of scores. The scores of the samples on which the
part failed are then unknown, and so are totals that depend on them: unknown is not wrong. A sample with an unknown
total takes no part in its group and is not learnt from. Failures are counted, so that a broken verifier is not mistaken
for a model that became worse.

Shapes: N completions; the scores of one part are (N,).
"""

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt, RewardTable
from rewards.outcomes import Outcome, Outcomes, Reward, checked_score, place_of, score_outcomes
from rewards.scaling import Reduce, Scaling

logger = logging.getLogger(__name__)


MAX_SILENT_ROLLOUTS = 5
"""The run stops when a part fails on every completion for so many rollouts in a row."""


@runtime_checkable
class DeclaredReward(Reward, Protocol):
    """A reward that declares whether it is a rule; a preference model declares False."""

    is_rule: bool
    """Whether its scores decide which groups are effective, unless ``RewardPart.is_rule`` is set."""


@runtime_checkable
class ColumnReader(Protocol):
    """A reward that reads columns of the data, such as ``FunctionReward``."""

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a data set without the columns that the reward needs; called once, before training."""
        ...


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
        # Training rollouts in a row in which a part has failed on every completion.
        self._silent_rollouts = dict.fromkeys(parts, 0)

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
        called = {name: score_outcomes(part.reward, prompts, completions) for name, part in self.parts.items()}
        scores = {name: outcomes.of_completions for name, outcomes in called.items()}
        # Before the scores are scaled: the statistics of a scaling include this rollout.
        if sum_over_ranks is not None:
            self._observe(scores, sum_over_ranks)
        # By part, one outcome for each completion: the weighted score.
        terms = {name: [self._term(name, score) for score in scores[name]] for name in self.parts}
        for name, outcomes in called.items():
            self._log_failures(name, outcomes, terms[name])
        if sum_over_ranks is not None:
            self._stop_without_scores(scores)
        rows = range(len(completions))
        # By part, one value for each completion: what the part adds to its total, NaN where that is unknown.
        added = {name: [self._added(name, scores, terms, row) for row in rows] for name in self.parts}
        rules = [name for name, part in self.parts.items() if part.decides_effectiveness]
        # fsum is exact, so the order of the parts in the config does not change the total.
        totals = [math.fsum(values[row] for values in added.values()) for row in rows]
        # NaN where the total is NaN: a completion that is not learnt from must not make its group effective.
        rule_totals = [
            math.nan if math.isnan(totals[row]) else math.fsum(added[name][row] for name in rules) for row in rows
        ]
        failures = {name: [term for term in terms[name] if isinstance(term, BaseException)] for name in self.parts}
        return RewardTable(
            parts={name: _as_tensor(of_part) for name, of_part in scores.items()},
            totals=_as_tensor(totals),
            rule_totals=_as_tensor(rule_totals),
            num_failures={name: len(errors) for name, errors in failures.items()},
            reasons={name: outcomes.reasons for name, outcomes in called.items() if any(outcomes.reasons)},
        )

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a data set that a part cannot read.

        Args:
            columns: names of the columns of the whole data set.

        Raises:
            ConfigError: names the part and the column.
        """
        for name, part in self.parts.items():
            if isinstance(part.reward, ColumnReader):
                try:
                    part.reward.check_columns(columns)
                except ConfigError as error:
                    raise ConfigError(f"model.reward.parts.{name}: {error}") from error

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

    def _observe(self, scores: Mapping[str, Sequence[Outcome]], sum_over_ranks: Reduce) -> None:
        for name, part in self.parts.items():
            # Called also without any score, because summing over ranks is a collective call.
            if part.scaling is not None:
                part.scaling.observe([score for score in scores[name] if isinstance(score, float)], sum_over_ranks)

    def _term(self, name: str, score: Outcome) -> Outcome:
        """Return the scaled and weighted score of a part, the error where it cannot be used."""
        if not isinstance(score, float):
            return score
        scaling = self.parts[name].scaling
        try:
            return checked_score(self.weights[name] * (score if scaling is None else scaling(score)))
        except ArithmeticError as error:
            return error

    def _added(
        self, name: str, scores: Mapping[str, Sequence[Outcome]], terms: Mapping[str, Sequence[Outcome]], row: int
    ) -> float:
        """Return what a part adds to the total of one completion; NaN where that is unknown."""
        # A part of weight 0 is only logged, so its failures change no total.
        if self.weights[name] == 0.0:
            return 0.0
        if (gate := self.parts[name].gate) is not None:
            # A raw score above 0 of the other part opens the gate; when that part does not apply, the gate stays
            # closed.
            opener = scores[gate][row]
            if isinstance(opener, BaseException):
                return math.nan
            if not (isinstance(opener, float) and opener > 0.0):
                return 0.0
        term = terms[name][row]
        return math.nan if isinstance(term, BaseException) else (term or 0.0)

    def _log_failures(self, name: str, outcomes: Outcomes, terms: Sequence[Outcome]) -> None:
        """Log the first failure of a part; what it fails on later is only counted."""
        errors = [term for term in terms if isinstance(term, BaseException)]
        if name in self._logged or not (errors or outcomes.batch_error):
            return
        self._logged.add(name)
        if not errors:
            error = outcomes.batch_error
            assert error is not None
            logger.warning(
                "Reward part %r failed when it was called for %d completions, and not when it was called for each one, "
                "which is slower. Cause: %r%s. Such calls are not logged again.",
                name,
                len(terms),
                error,
                place_of(error),
            )
            return
        logger.warning(
            "Reward part %r failed on %d of %d samples; their score is unknown. Causes: %s. "
            "Further failures of this part are only counted.",
            name,
            len(errors),
            len(terms),
            _causes(errors),
        )

    def _stop_without_scores(self, scores: Mapping[str, Sequence[Outcome]]) -> None:
        """Stop a run in which a part that matters has not given one score for many rollouts."""
        gates = {part.gate for part in self.parts.values()}
        for name, of_part in scores.items():
            errors = [score for score in of_part if isinstance(score, BaseException)]
            is_silent = bool(errors) and not any(isinstance(score, float) for score in of_part)
            self._silent_rollouts[name] = self._silent_rollouts[name] + 1 if is_silent else 0
            if self._silent_rollouts[name] >= MAX_SILENT_ROLLOUTS and (self.weights[name] or name in gates):
                raise ConfigError(
                    f"model.reward.parts.{name} has not given one score in {MAX_SILENT_ROLLOUTS} rollouts in a row, so "
                    f"nothing can be learnt: {_causes(errors)}. Repair it, or set its weight to 0."
                )


def _causes(errors: Sequence[BaseException]) -> str:
    """Return the most frequent kinds of errors, each with its number, first example and place."""
    kinds: dict[str, list[BaseException]] = {}
    for error in errors:
        # Errors from one line have one cause, whatever values their messages name.
        kinds.setdefault(f"{type(error).__name__}{place_of(error)}", []).append(error)
    most = sorted(kinds.values(), key=len, reverse=True)[:3]
    return "; ".join(f"{len(of_kind)} times {_shortened(of_kind[0])}{place_of(of_kind[0])}" for of_kind in most)


def _shortened(error: BaseException) -> str:
    try:
        text = repr(error)
    except Exception:
        # The text of a user's exception may fail as well.
        text = type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _as_tensor(scores: Sequence[Outcome]) -> Tensor:
    return torch.tensor([score if isinstance(score, float) else math.nan for score in scores], dtype=torch.double)


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
