"""Measures while training how much of what the policy says its images do not support, on probes that never change.

The probes are sampled with numbers that depend on the probe and on nothing else: two rounds differ by the policy only,
and a run without the monitor ends with the same weights. The rate is published as a signal that calibrators read.

    fit        every n steps, and where Lightning validates; never twice at one step
    validate   once
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from algorithms import ConfigError, Prompt, check_at_least, position_seed
from callbacks.loop.probe_cards import probe_card
from callbacks.loop.probe_report import ProbeCounts, count, rates, worst
from callbacks.loop.probes import read_probes
from datamodules.sources.prompt_folder import PromptFolder
from hallucination import ClaimJudge, JudgedCompletion, claim_counts, judge_groups, judged_completions
from hallucination.rates import Counts, has_risen
from lightning_modules import RolloutModule
from lightning_modules.tensorboard import tensorboard_writers
from rollouts import RolloutPhase, gather_ranks, own_state

RATE = "hallucination/rate"


class HallucinationMonitor(Callback):
    """Samples a fixed set of probes every so often, logs rates, shows the worst, and flags a rise."""

    provides = (RATE,)

    def __init__(
        self,
        every_n_steps: int = 25,
        at_validation: bool = True,
        num_probes: int = 64,
        num_samples: int = 2,
        probes: PromptFolder | None = None,
        split: Literal["train", "val", "test"] = "val",
        judge: ClaimJudge | None = None,
        kind_column: str = "kind",
        length_bounds: tuple[int, ...] = (16, 32),
        num_shown: int = 4,
        rise: float = 0.08,
        on_rise: Literal["log", "warn", "stop"] = "warn",
        max_time_share: float | None = None,
        seed: int = 4321,
    ) -> None:
        """Set what is measured and how often.

        Args:
            every_n_steps: optimizer steps between two rounds; with ``num_probes`` it bounds the cost.
            at_validation: measure also at steps at which Lightning validates, and in ``trainer.validate``.
            num_probes: prompts of a round, over all ranks.
            num_samples: completions of each, at the training temperature.
            probes: where the probes lie: any folder of prompts with facts or answers; null: the training's own.
            split: which file of it.
            judge: how claims are found and judged; null: ``model.judge``.
            kind_column: column that names the kind of question, to tell rates apart.
            length_bounds: completion lengths in tokens that part ``rate_length_0``, ``_1``, ...
            num_shown: worst examples shown in TensorBoard.
            rise: rise of a rate since the round (or the rollouts) before that is flagged, a share, if chance does
                not explain it.
            on_rise: what a flag does besides being logged.
            max_time_share: largest share of the time since training started that the monitor may have taken, above
                which a round is skipped and counted; null: no bound. Clocks differ from run to run: with a bound
                neither the rounds nor what a calibrator makes of them are repeated exactly, resumed runs included.
            seed: seed of the probes' completions.
        """
        _check(max_time_share, every_n_steps=every_n_steps, num_probes=num_probes, num_samples=num_samples)
        self.every_n_steps, self.num_probes, self.num_samples = every_n_steps, num_probes, num_samples
        self.at_validation, self.max_time_share = at_validation, max_time_share
        self.probes, self.split, self.judge = probes, split, judge
        self.kind_column, self.length_bounds, self.num_shown = kind_column, length_bounds, num_shown
        self.rise, self.on_rise, self.seed = rise, on_rise, seed
        self.prompts: Sequence[Prompt] = ()
        self.last_step = -1
        self.values: dict[str, float] = {}
        """The rates of the last round, by their names in the log."""

        self.skipped_rounds = 0
        self.before = {"probes": Counts(0, 0), "rollouts": Counts(0, 0)}
        self.rollouts = Counts(0, 0)
        self._saved_rollouts: list[Any] = []
        self._seconds, self._started = 0.0, 0.0
        self._is_news = False

    def state_dict(self) -> dict[str, Any]:
        """Return what rises are measured against, and what the last round said."""
        return {
            "last_step": self.last_step,
            "values": dict(self.values),
            "skipped_rounds": self.skipped_rounds,
            "before": {name: list(counts) for name, counts in self.before.items()},
            "rollouts": gather_ranks(list(self.rollouts)),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.last_step, self.values = state_dict["last_step"], dict(state_dict["values"])
        self.skipped_rounds = state_dict["skipped_rounds"]
        self.before = {name: Counts(*counts) for name, counts in state_dict["before"].items()}
        self._saved_rollouts = state_dict["rollouts"]

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the probes."""
        self._set_up(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where the run starts; a resumed one has measured already."""
        if self._saved_rollouts:
            self.rollouts = Counts(*own_state(self._saved_rollouts, trainer.global_rank, trainer.world_size))
        if self.last_step < 0:
            self._measure(trainer, cast(RolloutModule, pl_module))
        self._is_news = True

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Count the claims of training's own rollouts: faults of the training data show there first."""
        has_own_judge = self.judge is not cast(RolloutModule, pl_module).judge
        claims = judge_groups(self._judge, phase.prompts, phase.completions) if has_own_judge else phase.claims
        assert claims is not None
        self.rollouts += claim_counts(judged_completions(phase.prompts, phase.completions, claims))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when it is time, before a checkpoint of this step is written."""
        step = trainer.global_step
        is_due = step % self.every_n_steps == 0 or (self.at_validation and validation_follows(trainer))
        if is_due and step != self.last_step:
            if self._is_too_costly():
                self._skip(trainer)
            else:
                self._measure(trainer, cast(RolloutModule, pl_module))
        if self._is_news:
            # So that ModelCheckpoint(monitor="hallucination/rate") and EarlyStopping know it.
            pl_module.log_dict(self.values, logger=False, batch_size=1)
            self._is_news = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the probes for ``trainer.validate``, which starts here."""
        if self.at_validation and trainer.state.fn == TrainerFn.VALIDATING:
            self._set_up(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure in ``trainer.validate``; in training it has been done at the end of the batch."""
        if self.at_validation and trainer.state.fn == TrainerFn.VALIDATING:
            self._measure(trainer, cast(RolloutModule, pl_module))
            pl_module.log_dict(self.values, logger=False, batch_size=1)

    # --- measuring ------------------------------------------------------------------------------------------

    def _set_up(self, trainer: Trainer, module: LightningModule) -> None:
        """Choose the judge, read the probes and start the clock."""
        if not isinstance(module, RolloutModule):
            raise ConfigError(
                f"callbacks.hallucination needs a model that samples, such as GRPOModule, got {type(module).__name__}: "
                "its completions are what is judged. null switches the monitor off."
            )
        self.judge = self.judge or module.judge
        if self.judge is None:
            raise ConfigError(
                "callbacks.hallucination.judge must be set, or model.judge: without either, no claim of a completion "
                "can be found."
            )
        self.prompts = read_probes(trainer, self.probes, self.split, self.judge, max_probes=self.num_probes)
        self._started = time.perf_counter()

    def _is_too_costly(self) -> bool:
        """Return whether the bound on time is passed on any rank; the same on every rank."""
        if self.max_time_share is None:
            return False
        return any(share > self.max_time_share for share in gather_ranks(self._time_share()))

    def _time_share(self) -> float:
        return self._seconds / max(1e-9, time.perf_counter() - self._started)

    def _skip(self, trainer: Trainer) -> None:
        self.last_step = trainer.global_step
        self.skipped_rounds += 1
        for logger in trainer.loggers:
            logger.log_metrics({"hallucination/skipped_rounds": self.skipped_rounds}, step=trainer.global_step)

    def _measure(self, trainer: Trainer, module: RolloutModule) -> None:
        """Sample and judge the probes; log, publish and keep what they say."""
        started = time.perf_counter()
        self.last_step = trainer.global_step
        seed = position_seed(self.seed, "probes", trainer.global_rank)
        groups = module.sample(self.prompts, replace(module.sampling, group_size=self.num_samples), seed=seed)
        judged = judged_completions(self.prompts, groups, judge_groups(self._judge, self.prompts, groups))
        counts = count(judged, kind_column=self.kind_column, length_bounds=self.length_bounds)
        everywhere: list[tuple[ProbeCounts, Counts]] = gather_ranks((counts, self.rollouts))
        totals = ProbeCounts().merged([each for each, _ in everywhere])
        rollouts = sum((each for _, each in everywhere), Counts(0, 0))
        values = {f"hallucination/{name}": value for name, value in rates(totals).items()}
        values["hallucination/rise"] = float(self._flag(trainer, {"probes": totals.rate("rate"), "rollouts": rollouts}))
        self.values, self._is_news = values, True
        self._seconds += time.perf_counter() - started
        module.signals.publish(RATE, values[RATE], step=trainer.global_step)
        for logger in trainer.loggers:
            logger.log_metrics(values | {"time/monitor_share": self._time_share()}, step=trainer.global_step)
        self._show(trainer, judged)

    @property
    def _judge(self) -> ClaimJudge:
        """The judge, which ``_set_up`` has chosen."""
        assert self.judge is not None
        return self.judge

    def _flag(self, trainer: Trainer, now: dict[str, Counts]) -> bool:
        """Compare with the round before, remember this one, and say what rose; the same on every rank."""
        risen = [name for name, counts in now.items() if has_risen(self.before[name], counts, at_least=self.rise)]
        told = [f"{name}: {self.before[name].rate:.1%} -> {now[name].rate:.1%}" for name in risen]
        self.before = now
        self.rollouts = Counts(0, 0)
        if risen and self.on_rise != "log":
            rank_zero_warn(f"step {trainer.global_step}: the hallucination rate has risen ({'; '.join(told)}).")
        if risen and self.on_rise == "stop":
            trainer.should_stop = True
        return bool(risen)

    def _show(self, trainer: Trainer, judged: Sequence[JudgedCompletion]) -> None:
        for writer in tensorboard_writers(trainer):
            for number, each in enumerate(worst(judged, self.num_shown)):
                card = probe_card(each)
                writer.add_image(f"hallucination/worst_{number}", card, trainer.global_step, dataformats="HWC")


def validation_follows(trainer: Trainer) -> bool:
    """Return whether Lightning validates after this training batch: its own rule, asked one hook early.

    At validation itself a measurement would come too late: a checkpoint of this step, written in between, would lack
    it, and a run that resumes from there does not validate at this step again.
    """
    loop = trainer.fit_loop
    return loop.epoch_loop._should_check_val_fx(cast(Any, loop._data_fetcher))


def _check(max_time_share: float | None, **counts: int) -> None:
    for key, value in counts.items():
        check_at_least(f"callbacks.hallucination.{key}", value, 1)
    if max_time_share is not None and not 0.0 < max_time_share < 1.0:
        raise ConfigError(
            f"callbacks.hallucination.max_time_share must lie between 0 and 1, got {max_time_share}: it is a share "
            "of the time since training started. null sets no bound."
        )
