"""Measures while training how much of what the policy says its images do not support, on probes that never change.

The probes are sampled with numbers that depend on the probe and on nothing else: two rounds differ by the policy only,
and a run without the monitor ends with the same weights. The rate is published as a signal that calibrators read.
"""

import time
from collections.abc import Sequence
from typing import Any, Literal, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

from algorithms import ConfigError, Prompt, position_seed
from algorithms.rates import Counts, has_risen
from callbacks.probe_cards import probe_card
from callbacks.probe_report import JudgedCompletion, ProbeCounts, count, judge_all, rates, worst
from datamodules.prompt_folder import PromptFolder
from datamodules.prompt_rows import read_prompts
from lightning_modules import RolloutModule
from lightning_modules.claim_judges import ClaimJudge, GrammarJudge
from rollouts import RolloutPhase, gather_ranks, own_state

RATE = "hallucination/rate"


class HallucinationMonitor(Callback):
    """Samples a fixed set of probes every so often, logs rates, shows the worst, and flags a rise."""

    provides = (RATE,)

    def __init__(
        self,
        every_n_steps: int = 25,
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
        seed: int = 4321,
    ) -> None:
        """Set what is measured and how often.

        Args:
            every_n_steps: optimizer steps between two rounds; with ``num_probes`` it bounds the cost.
            num_probes: prompts of a round, over all ranks.
            num_samples: completions of each, at the training temperature.
            probes: where the probes lie: any folder of prompts with facts or answers; null: the training's own.
            split: which file of it.
            judge: how claims are found and judged; null: by ``model.claims``.
            kind_column: column that names the kind of question, to tell rates apart.
            length_bounds: completion lengths in tokens that part ``rate_length_0``, ``_1``, ...
            num_shown: worst examples shown in TensorBoard.
            rise: rise of a rate since the round (or the rollouts) before that is flagged, a share, if chance does
                not explain it.
            on_rise: what a flag does besides being logged.
            seed: seed of the probes' completions.
        """
        for key, value in (("every_n_steps", every_n_steps), ("num_probes", num_probes), ("num_samples", num_samples)):
            if value < 1:
                raise ConfigError(f"callbacks.hallucination.{key} must be at least 1, got {value}.")
        self.every_n_steps, self.num_probes, self.num_samples = every_n_steps, num_probes, num_samples
        self.probes, self.split, self.judge = probes, split, judge
        self.kind_column, self.length_bounds, self.num_shown = kind_column, length_bounds, num_shown
        self.rise, self.on_rise, self.seed = rise, on_rise, seed
        self.prompts: Sequence[Prompt] = ()
        self.last_step = -1
        self.before = {"probes": Counts(0, 0), "rollouts": Counts(0, 0)}
        self.rollouts = Counts(0, 0)
        self._saved_rollouts: list[Any] = []
        self._seconds, self._started = 0.0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what rises are measured against."""
        return {
            "last_step": self.last_step,
            "before": {name: list(counts) for name, counts in self.before.items()},
            "rollouts": gather_ranks(list(self.rollouts)),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.last_step = state_dict["last_step"]
        self.before = {name: Counts(*counts) for name, counts in state_dict["before"].items()}
        self._saved_rollouts = state_dict["rollouts"]

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the probes."""
        if not isinstance(pl_module, RolloutModule) or (self.judge is None and pl_module.claims is None):
            raise ConfigError(
                "callbacks.hallucination.judge must be set, or model.claims: without either nobody can tell which "
                f"claims {type(pl_module).__name__} makes."
            )
        self.judge = self.judge or GrammarJudge(cast(Any, pl_module.claims))
        self.prompts = self._read(trainer)
        self._started = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure where the run starts; a resumed one has measured already."""
        if self._saved_rollouts:
            self.rollouts = Counts(*own_state(self._saved_rollouts, trainer.global_rank, trainer.world_size))
        if self.last_step < 0:
            self._measure(trainer, cast(RolloutModule, pl_module))

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Count the claims of training's own rollouts: faults of the training data show there first."""
        judged = self._judged(
            [g.prompt for g in phase.groups], [[r.completion for r in g.rollouts] for g in phase.groups]
        )
        self.rollouts += Counts(sum(j.num_unsupported for j in judged), sum(len(j.claims) for j in judged))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when it is time."""
        step = trainer.global_step
        if step % self.every_n_steps == 0 and step != self.last_step:
            values = self._measure(trainer, cast(RolloutModule, pl_module))
            # So that ModelCheckpoint(monitor="hallucination/rate") and EarlyStopping know it.
            pl_module.log_dict(values, logger=False, batch_size=1)

    # --- measuring ------------------------------------------------------------------------------------------

    def _read(self, trainer: Trainer) -> Sequence[Prompt]:
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        source = self.probes or data.source
        if trainer.local_rank == 0:
            source.prepare()
        trainer.strategy.barrier()
        rows = read_prompts(source.split_file(self.split), source.folder, max_image_pixels=data.max_image_pixels)
        # Dealt out like validation prompts; every rank gets as many, so that none waits for long.
        return rows.prompts[: self.num_probes][trainer.global_rank :: trainer.world_size]

    def _measure(self, trainer: Trainer, module: RolloutModule) -> dict[str, float]:
        started = time.perf_counter()
        self.last_step = trainer.global_step
        seed = position_seed(self.seed, "probes", trainer.global_rank)
        groups = module.sample(self.prompts, self.num_samples, module.sampling, seed=seed)
        judged = self._judged(self.prompts, groups)
        counts = count(judged, kind_column=self.kind_column, length_bounds=self.length_bounds)
        everywhere: list[tuple[ProbeCounts, Counts]] = gather_ranks((counts, self.rollouts))
        totals = ProbeCounts().merged([each for each, _ in everywhere])
        rollouts = sum((each for _, each in everywhere), Counts(0, 0))
        values = {f"hallucination/{name}": value for name, value in rates(totals).items()}
        values["hallucination/rise"] = float(self._flag(trainer, {"probes": totals.rate("rate"), "rollouts": rollouts}))
        self._seconds += time.perf_counter() - started
        values["time/monitor_share"] = self._seconds / max(1e-9, time.perf_counter() - self._started)
        module.signals.publish(RATE, values[RATE], step=trainer.global_step)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)
        self._show(trainer, judged)
        return values

    def _judged(self, prompts: Sequence[Prompt], groups: Sequence[Sequence[Any]]) -> list[JudgedCompletion]:
        assert self.judge is not None
        return judge_all(self.judge, prompts, groups)

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
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                for number, each in enumerate(worst(judged, self.num_shown)):
                    card = probe_card(each)
                    logger.experiment.add_image(
                        f"hallucination/worst_{number}", card, trainer.global_step, dataformats="HWC"
                    )
