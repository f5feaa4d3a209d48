"""Measures during training the hallucination rate: the share of a policy's claims that the image does not support.

The monitor asks the same prompts (the probes) in every round, and the random numbers of their completions depend only
on the probe. So only the policy differs between two rounds, and a run without the monitor ends with the same weights.
The rate is published as a signal that calibrators read.

    fit        every n steps, and where Lightning validates; never twice at one step
    validate   once
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from algorithms import ConfigError, Prompt, check_at_least, position_seed
from callbacks.cards import probe_card
from callbacks.loop.probe_report import ProbeCounts, count, most_unsupported, rates
from callbacks.loop.probes import ProbeConfig, read_probes
from callbacks.loop.time_budget import TimeBudget
from hallucination import Benchmark, ClaimJudge, JudgedCompletion, claim_counts, judge_groups, judged_completions
from hallucination.rates import Counts, has_risen
from lightning_modules import RolloutModule
from lightning_modules.logs.tensorboard import tensorboard_writers
from rollouts import RolloutPhase, gather_ranks, state_of_rank

RATE = "hallucination/rate"


class HallucinationMonitor(Callback):
    """Samples a fixed set of probes at intervals, logs rates, shows the worst completions, and flags a rise."""

    provides = (RATE,)

    def __init__(
        self,
        every_n_steps: int = 25,
        at_validation: bool = True,
        probes: ProbeConfig = ProbeConfig(),  # noqa: B008  (frozen)
        judge: ClaimJudge | None = None,
        num_shown: int = 4,
        rise: float = 0.08,
        on_rise: Literal["log", "warn", "stop"] = "warn",
        max_time_share: float | None = None,
    ) -> None:
        """Set what the monitor measures and how often.

        Args:
            every_n_steps: optimizer steps between two rounds; with ``probes.num_probes`` it bounds the cost.
            at_validation: measure also at steps at which Lightning validates, and in ``trainer.validate``.
            probes: which prompts are sampled, how often each is sampled, and the groups with rates of their own.
            judge: finds and judges claims; null: ``model.judge``.
            num_shown: worst examples shown in TensorBoard.
            rise: smallest rise of a rate that is flagged, as a share: 0.08 is eight points. Probes are compared with
                the round before, and rollouts with the rollouts before that round. A rise within three standard errors
                may be chance and is not flagged.
            on_rise: what a flag does besides being logged.
            max_time_share: largest share of the time since training started that the monitor may take; rounds above it
                are skipped and counted; null: no bound. Clocks differ between runs: with a bound neither rounds nor
                moves of a calibrator can be repeated exactly, not even by a resumed run.
        """
        check_at_least("callbacks.hallucination.every_n_steps", every_n_steps, 1)
        self.every_n_steps, self.at_validation = every_n_steps, at_validation
        self.probes, self.judge, self.num_shown = probes, judge, num_shown
        self.benchmark: Benchmark | None = probes.benchmark
        self.rise, self.on_rise = rise, on_rise
        self.budget = TimeBudget(max_time_share)
        self.prompts: Sequence[Prompt] = ()
        """This rank's share of the probes."""

        self.last_step = -1
        """Optimizer step of the last round, done or skipped; -1 before the first."""

        self.values: dict[str, float] = {}
        """The rates of the last round, by their names in the log."""

        self.skipped_rounds = 0
        # Counts that a rise is measured against, of all ranks; and claims of rollouts since the last round, of this
        # rank.
        self.before = {"probes": Counts(0, 0), "rollouts": Counts(0, 0)}
        self.rollouts = Counts(0, 0)
        self._saved_rollouts: list[Any] = []
        self._must_log_values = False

    def state_dict(self) -> dict[str, Any]:
        """Return the counts for flagging rises, and the values of the last round; a collective call."""
        return {
            "last_step": self.last_step,
            "values": dict(self.values),
            "skipped_rounds": self.skipped_rounds,
            "before": {name: list(counts) for name, counts in self.before.items()},
            "rollouts": gather_ranks(list(self.rollouts)),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; the claims of this rank come back when training starts and the rank is known."""
        self.last_step, self.values = state_dict["last_step"], dict(state_dict["values"])
        self.skipped_rounds = state_dict["skipped_rounds"]
        self.before = {name: Counts(*counts) for name, counts in state_dict["before"].items()}
        self._saved_rollouts = state_dict["rollouts"]

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the probes."""
        self._set_up(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure at the start of a run, but not of a resumed run, whose checkpoint has a measurement."""
        if self._saved_rollouts:
            self.rollouts = Counts(*state_of_rank(self._saved_rollouts, trainer.global_rank, trainer.world_size))
        if self.last_step < 0:
            self._measure(trainer, cast(RolloutModule, pl_module))
        # Checkpoints do not contain Lightning's metrics, so the saved values are logged again.
        self._must_log_values = True

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Count the claims of training rollouts: mistakes in the training data raise this rate first."""
        # With the module's judge the phase already contains the claims.
        has_own_judge = self.judge is not cast(RolloutModule, pl_module).judge
        claims = judge_groups(self._judge, phase.prompts, phase.completions) if has_own_judge else phase.claims
        assert claims is not None
        self.rollouts += claim_counts(judged_completions(phase.prompts, phase.completions, claims))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when a round is due, before a checkpoint of this step is written."""
        step = trainer.global_step
        is_due = step % self.every_n_steps == 0 or (self.at_validation and validation_follows(trainer))
        # With accumulated gradients several batches belong to one step.
        if is_due and step != self.last_step:
            if self.budget.is_spent:
                self._skip(trainer)
            else:
                self._measure(trainer, cast(RolloutModule, pl_module))
        if self._must_log_values:
            self._log_values(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the probes for ``trainer.validate``, which does not call ``on_fit_start``."""
        if self.at_validation and trainer.state.fn == TrainerFn.VALIDATING:
            self._set_up(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure in ``trainer.validate``; in training ``on_train_batch_end`` measures."""
        if self.at_validation and trainer.state.fn == TrainerFn.VALIDATING:
            self._measure(trainer, cast(RolloutModule, pl_module))
            self._log_values(pl_module)

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
        self.prompts = read_probes(trainer, self.probes, self.judge)
        self._choose_benchmark(module)
        self.budget.start()

    def _choose_benchmark(self, module: RolloutModule) -> None:
        """Use the module's benchmark when ``probes`` names none; a collective call when ``probes`` names one."""
        if self.benchmark is None:
            self.benchmark = module.evaluation_config.benchmark
        # Checked over all ranks: the share of one rank may hold no question of the benchmark.
        elif not any(gather_ranks(any(map(self.benchmark.has_form, self.prompts)))):
            self.benchmark.check([], "the probes", "callbacks.hallucination.probes.benchmark")

    @property
    def _judge(self) -> ClaimJudge:
        """The judge that ``_set_up`` has chosen."""
        assert self.judge is not None
        return self.judge

    def _skip(self, trainer: Trainer) -> None:
        self.last_step = trainer.global_step
        self.skipped_rounds += 1
        for logger in trainer.loggers:
            logger.log_metrics({"hallucination/skipped_rounds": self.skipped_rounds}, step=trainer.global_step)

    def _measure(self, trainer: Trainer, module: RolloutModule) -> None:
        """Sample and judge the probes; log, publish and keep the rates."""
        step = self.last_step = trainer.global_step
        with self.budget.counted():
            judged = self._judged_probes(module)
            counts = count(judged, kind_column=self.probes.kind_column, length_bounds=self.probes.length_bounds)
            everywhere: list[tuple[ProbeCounts, Counts]] = gather_ranks((counts, self.rollouts))
            scores = self._benchmark_scores(module, judged)
        # From here on all values are equal on every rank: sums over ranks come first, then ratios.
        totals = ProbeCounts.total(of_rank for of_rank, _ in everywhere)
        rollouts = sum((of_rank for _, of_rank in everywhere), Counts(0, 0))
        self.values = {f"hallucination/{name}": value for name, value in (rates(totals) | scores).items()}
        is_rise = self._flag_rises(trainer, {"probes": totals["rate"], "rollouts": rollouts})
        self.values["hallucination/rise"] = float(is_rise)
        self._must_log_values = True
        module.signals.publish(RATE, self.values[RATE], step=step, trials=totals["rate"].trials)
        for logger in trainer.loggers:
            logger.log_metrics(self.values | {"time/monitor_share": self.budget.share}, step=step)
        for writer in tensorboard_writers(trainer):
            for number, shown in enumerate(most_unsupported(judged, self.num_shown)):
                writer.add_image(f"hallucination/worst_{number}", probe_card(shown), step, dataformats="HWC")

    def _judged_probes(self, module: RolloutModule) -> list[JudgedCompletion]:
        """Return completions of this rank's probes by the present policy, with their claims."""
        # The seed does not depend on the step, so every round draws the same random numbers.
        seed = position_seed(self.probes.seed, "probes", module.global_rank)
        sampling = replace(module.sampling, group_size=self.probes.num_samples)
        groups = module.sample(self.prompts, sampling, seed=seed)
        return judged_completions(self.prompts, groups, judge_groups(self._judge, self.prompts, groups))

    def _benchmark_scores(self, module: RolloutModule, judged: Sequence[JudgedCompletion]) -> dict[str, float]:
        """Return the benchmark's scores of the probes of all ranks; none without a question; a collective call."""
        if (benchmark := self.benchmark) is None:
            return {}
        asked = [each for each in judged if benchmark.has_form(each.prompt)]
        if not any(gather_ranks(bool(asked))):
            return {}
        metric = benchmark.metric().to(module.device)
        benchmark.add(metric, [each.prompt for each in asked], [each.completion for each in asked])
        return {name: float(value) for name, value in metric.compute().items()}

    def _flag_rises(self, trainer: Trainer, now: dict[str, Counts]) -> bool:
        """Return whether a rate has risen since the last round, warn or stop as configured, and keep the new counts."""
        risen = [name for name, counts in now.items() if has_risen(self.before[name], counts, at_least=self.rise)]
        changes = [f"{name}: {self.before[name].rate:.1%} -> {now[name].rate:.1%}" for name in risen]
        self.before = now
        self.rollouts = Counts(0, 0)
        if risen and self.on_rise != "log":
            rank_zero_warn(f"step {trainer.global_step}: the hallucination rate has risen ({'; '.join(changes)}).")
        if risen and self.on_rise == "stop":
            trainer.should_stop = True
        return bool(risen)

    def _log_values(self, module: LightningModule) -> None:
        """Log the rates to Lightning's metrics, for ModelCheckpoint(monitor="hallucination/rate") and EarlyStopping."""
        # The loggers already have the rates, with the step of the round.
        module.log_dict(self.values, logger=False, batch_size=1)
        self._must_log_values = False


def validation_follows(trainer: Trainer) -> bool:
    """Return whether Lightning validates after this training batch, at the end of the batch."""
    loop = trainer.fit_loop
    # A private method, because no public one gives Lightning's decision. A round during validation would come after the
    # checkpoints of this step: they would lack it, and a run that resumes from them does not validate at this step
    # again. Lightning's rule has half a dozen cases, so it is called and not copied.
    return loop.epoch_loop._should_check_val_fx(cast(Any, loop._data_fetcher))
