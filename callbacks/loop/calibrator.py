"""Moves one threshold of the reward so that a monitored rate stays near its target.

    monitor -> signal "hallucination/rate" -> decision (algorithms/calibration) -> threshold -> next rollout

R1V2 (arXiv:2504.16656) mentions such a calibration but describes no mechanism; this mechanism is the project's own.

The calibrator acts at the start of a batch, once for each new signal, so the order of callbacks does not matter. The
signal is the same on every rank, and so is the decision.
"""

import logging
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from algorithms import ConfigError
from algorithms.calibration import Decision, Evidence, Reading, ThresholdStrategy
from callbacks.loop.knobs import Knob, find_knob
from callbacks.prompt_data import prompt_data
from lightning_modules import RolloutModule
from lightning_modules.logs.tensorboard import tensorboard_writers
from lightning_modules.signals import Signal
from rollouts import RolloutPhase, gather_ranks

logger = logging.getLogger(__name__)

# Most readings that are kept: a strategy uses the newest ones only, and a checkpoint must not grow with the run.
MAX_READINGS = 64


class RewardThresholdCalibrator(Callback):
    """Reads a rate, decides, moves the threshold, and logs the reason."""

    def __init__(
        self,
        moves: str,
        strategy: ThresholdStrategy,
        monitor: str = "hallucination/rate",
        part: str = "preference",
    ) -> None:
        """Set which threshold follows which rate.

        Args:
            moves: name of the threshold: ``reward.PART.weight`` or ``reward.PART.cap`` (a part of model.reward whose
                scaling is ``rewards.Cap``), or ``data.selection.threshold`` (tau of iterative MPO).
            strategy: how the threshold follows the rate.
            monitor: name of the signal to read, as a monitor publishes it.
            part: reward part that strategies read beside the rate: its mean score, and for quantiles all its scores.
        """
        self.moves, self.strategy, self.monitor, self.part = moves, strategy, monitor, part
        self.requires = (monitor,)
        # Step of the newest signal on which the calibrator has acted.
        self.seen_step = -1
        self.readings: list[Reading] = []
        # Scores of the newest rollout, of all ranks.
        self.scores: list[float] = []
        self._reward_sum, self._reward_count = 0.0, 0
        self._told_of_lack = False

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: two calibrators of one run move different thresholds."""
        return f"RewardThresholdCalibrator({self.moves})"

    def state_dict(self) -> dict[str, Any]:
        """Return the evidence of decisions; the owner of the threshold saves the threshold."""
        return {
            "seen_step": self.seen_step,
            "readings": [list(reading) for reading in self.readings],
            "scores": self.scores,
            "reward": [self._reward_sum, self._reward_count],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the evidence."""
        self.seen_step, self.scores = state_dict["seen_step"], state_dict["scores"]
        self.readings = [Reading(*reading) for reading in state_dict["readings"]]
        self._reward_sum, self._reward_count = state_dict["reward"]

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a threshold or reward part that the run lacks, and a start value that the strategy refuses."""
        if not isinstance(pl_module, RolloutModule) or self.part not in pl_module.reward.parts:
            raise ConfigError(
                f"callbacks.calibrator.part is {self.part!r}, which is no part of model.reward: its scores are what "
                "the threshold bounds."
            )
        # The checkpoint has been read before, so this is also the value with which a resumed run continues.
        self.strategy.check_start(self.moves, self._knob(trainer, pl_module).get())

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Keep the scores of the rollout, of all ranks."""
        scores = phase.scores.parts[self.part]  # (P, G)
        own = scores[~scores.isnan()].tolist()
        self.scores = [score for scores in gather_ranks(own) for score in scores]
        self._reward_sum += sum(self.scores)
        self._reward_count += len(self.scores)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Act on a new value of the signal, before the module's hook of the same name rolls out."""
        module = cast(RolloutModule, pl_module)
        signal = module.signals.latest(self.monitor)
        if signal is None or signal.step <= self.seen_step:
            return
        self.seen_step = signal.step
        self._act(trainer, module, signal, module.signals.trials(self.monitor))

    # --- acting ---------------------------------------------------------------------------------------------

    def _act(self, trainer: Trainer, module: RolloutModule, signal: Signal, trials: float) -> None:
        # Mean score since the last reading; before the first rollout there are no scores.
        reward = self._reward_sum / self._reward_count if self._reward_count else 0.0
        self._reward_sum, self._reward_count = 0.0, 0
        self.readings = [*self.readings, Reading(signal.step, signal.value, reward, trials)]
        self.readings = self.readings[-MAX_READINGS:]
        knob = self._knob(trainer, module)
        before = knob.get()
        decision = self.strategy.decide(before, Evidence(self.readings, self.scores), knob.stricter)
        if decision.threshold != before:
            knob.set(decision.threshold)
        self._log(trainer, before, decision)

    def _knob(self, trainer: Trainer, module: RolloutModule) -> Knob:
        return find_knob(self.moves, module.reward, prompt_data(trainer))

    def _log(self, trainer: Trainer, before: float, decision: Decision) -> None:
        step, after = trainer.global_step, decision.threshold
        values = {"calibration/threshold": after, "calibration/has_evidence": float(not decision.lacks_evidence)}
        for log in trainer.loggers:
            log.log_metrics(values, step=step)
        if decision.lacks_evidence and not self._told_of_lack:
            self._told_of_lack = True
            rank_zero_warn(
                f"step {step}: callbacks.calibrator leaves {self.moves} at {after:.4g} while there is no evidence: "
                f"{decision.reason}. Further such readings are in calibration/has_evidence."
            )
        if after == before:
            return
        change = f"step {step}: {self.moves} {before:.4g} -> {after:.4g}, {decision.reason}"
        if trainer.is_global_zero:
            logger.info(change)
        for writer in tensorboard_writers(trainer):
            writer.add_text("calibration/changes", change, step)
