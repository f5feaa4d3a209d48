"""Moves one threshold of the reward so that a monitored rate stays where it should: the loop that R1V2 only names.

    monitor -> signal "hallucination/rate" -> decision (algorithms/calibration) -> threshold -> next rollout

It acts at the start of a batch on a signal that it has not seen yet, so the order of callbacks does not matter; the
signal is the same on every rank, and so is the decision.
"""

import logging
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from algorithms import ConfigError
from algorithms.calibration import Decision, Evidence, Reading, ThresholdStrategy
from callbacks.loop.knobs import Knob, find_knob
from lightning_modules import RolloutModule
from rollouts import RolloutPhase, gather_ranks

logger = logging.getLogger(__name__)

MAX_READINGS = 64


class RewardThresholdCalibrator(Callback):
    """Reads a rate, decides, moves the threshold, and says why."""

    def __init__(
        self,
        moves: str,
        strategy: ThresholdStrategy,
        monitor: str = "hallucination/rate",
        part: str = "preference",
    ) -> None:
        """Set what is moved by what.

        Args:
            moves: the threshold: ``reward.PART.weight`` or ``reward.PART.cap`` (a part of model.reward whose scaling is
                ``rewards.Cap``), or ``data.selection.threshold`` (tau of iterative MPO).
            strategy: how the threshold follows the rate.
            monitor: name of the signal to read, as a monitor publishes it.
            part: reward part whose scores go with the rate: its mean, and for quantiles its scores.
        """
        self.moves, self.strategy, self.monitor, self.part = moves, strategy, monitor, part
        self.requires = (monitor,)
        self.seen_step = -1
        self.readings: list[Reading] = []
        self.scores: list[float] = []
        self._reward_sum, self._reward_count = 0.0, 0

    @property
    def state_key(self) -> str:
        """Two calibrators of one run move different thresholds."""
        return f"RewardThresholdCalibrator({self.moves})"

    def state_dict(self) -> dict[str, Any]:
        """Return what decisions look at; the threshold itself is saved by its owner."""
        return {
            "seen_step": self.seen_step,
            "readings": [list(reading) for reading in self.readings],
            "scores": self.scores,
            "reward": [self._reward_sum, self._reward_count],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.seen_step, self.scores = state_dict["seen_step"], state_dict["scores"]
        self.readings = [Reading(*reading) for reading in state_dict["readings"]]
        self._reward_sum, self._reward_count = state_dict["reward"]

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a threshold that this run does not have."""
        if not isinstance(pl_module, RolloutModule) or self.part not in pl_module.reward.parts:
            raise ConfigError(
                f"callbacks.calibrator.part is {self.part!r}, which is no part of model.reward: its scores are what "
                "the threshold bounds."
            )
        self._knob(trainer, pl_module)

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Keep the scores of the rollout, of all ranks."""
        own = [score for score in phase.part(self.part).flatten().tolist() if score == score]
        self.scores = [score for scores in gather_ranks(own) for score in scores]
        self._reward_sum += sum(self.scores)
        self._reward_count += len(self.scores)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Act on a new value of the signal, before the next rollout."""
        signal = pl_module.signals.latest(self.monitor)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        if signal is None or signal.step <= self.seen_step:
            return
        self.seen_step = signal.step
        self._act(trainer, pl_module, signal.value)

    # --- acting ---------------------------------------------------------------------------------------------

    def _act(self, trainer: Trainer, module: LightningModule, rate: float) -> None:
        reward = self._reward_sum / self._reward_count if self._reward_count else 0.0
        self._reward_sum, self._reward_count = 0.0, 0
        self.readings = [*self.readings, Reading(self.seen_step, rate, reward)][-MAX_READINGS:]
        knob = self._knob(trainer, module)
        present = knob.get()
        decision = self.strategy.decide(present, Evidence(self.readings, self.scores), knob.stricter)
        if decision.threshold != present:
            knob.set(decision.threshold)
        self._log(trainer, present, decision)

    def _knob(self, trainer: Trainer, module: LightningModule) -> Knob:
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        return find_knob(self.moves, cast(RolloutModule, module).reward, data)

    def _log(self, trainer: Trainer, before: float, decision: Decision) -> None:
        has_moved = decision.threshold != before
        told = f"step {trainer.global_step}: {self.moves} {before:.4g} -> {decision.threshold:.4g}, {decision.reason}"
        if has_moved and trainer.is_global_zero:
            logger.info(told)
        for log in trainer.loggers:
            log.log_metrics({"calibration/threshold": decision.threshold}, step=trainer.global_step)
            if has_moved and isinstance(log, TensorBoardLogger) and trainer.is_global_zero:
                log.experiment.add_text("calibration/changes", told, trainer.global_step)
