"""Measures whether a policy looks: the same held-out prompts with their pictures and without.

    greedy completion with the picture      right or wrong, and its log-probability with the picture
    greedy completion without it            right or wrong: the accuracy gap
    the first completion, without it        its log-probability there: the log-probability gap

Reinforcement learning raises scores even when all evidence is removed from the images (arXiv:2604.03179): when accuracy
rises and the gap shrinks, the policy guesses better.

    fit               at the start, every n steps, and where Lightning validates; never twice at one step
    validate, test    once, at their end
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch.nn.utils.rnn import pad_sequence

from algorithms import Completion, ConfigError, DataError, Prompt, check_at_least, position_seed
from callbacks.loop.blind_pictures import BLIND_KINDS, BlindKind, blind_prompts
from callbacks.loop.monitor import validation_follows
from callbacks.loop.probe_report import ProbeCounts
from callbacks.loop.probes import held_out_rows
from callbacks.prompt_data import prompt_data
from datamodules.sources.prompt_folder import PromptFolder
from lightning_modules import RolloutModule
from models import Policy, largest_over_ranks
from rewards.outcomes import score_outcomes
from rollouts import gather_ranks

# Prompts of one forward, which bounds the memory.
_ROWS = 16


class BlindProbes(Callback):
    """Asks held-out prompts also with blank, shuffled and masked pictures, and logs the loss of accuracy."""

    def __init__(
        self,
        every_n_steps: int = 50,
        at_validation: bool = True,
        kinds: Sequence[BlindKind] = BLIND_KINDS,
        num_probes: int = 64,
        source: PromptFolder | None = None,
        split: Literal["train", "val", "test"] | None = None,
        masked_share: float = 0.6,
        seed: int = 97,
    ) -> None:
        """Set which prompts are asked and how often.

        Args:
            every_n_steps: optimizer steps between two rounds of a training.
            at_validation: measure also at steps at which Lightning validates.
            kinds: what replaces the pictures: ``blank`` a gray picture; ``shuffled`` another prompt's picture;
                ``masked`` the prompt's own picture with black patches.
            num_probes: prompts of a round, over all ranks. A round takes one greedy completion and one forward of each,
                and as many again for each kind.
            source: any folder of prompts with images and answers; null: the prompts of the run.
            split: the split that is asked; null: ``test`` for the command test, else ``val``.
            masked_share: share of the patches, 14 pixels wide, that are black in a masked picture (PAPO: 0.6).
            seed: seed of the draws, the same in every round, so that only the policy differs between two rounds.
        """
        check_at_least("callbacks.blind.every_n_steps", every_n_steps, 1)
        check_at_least("callbacks.blind.num_probes", num_probes, 2, "a picture is exchanged for one of another prompt")
        if not kinds or not set(kinds) <= set(BLIND_KINDS):
            raise ConfigError(
                f"callbacks.blind.kinds must name one or more of {', '.join(BLIND_KINDS)}, got {list(kinds)}."
            )
        if not 0.0 < masked_share <= 1.0:
            raise ConfigError(
                f"callbacks.blind.masked_share must lie above 0 and be at most 1, got {masked_share}: it is the share "
                "of a picture that is hidden."
            )
        self.every_n_steps, self.at_validation, self.kinds = every_n_steps, at_validation, tuple(kinds)
        self.num_probes, self.source, self.split, self.seed = num_probes, source, split, seed
        self.masked_share = masked_share
        self.prompts: dict[str, Sequence[Prompt]] = {}
        """This rank's probes: with their pictures under the key ``seen``, without them under the name of each kind."""

        self.last_step = -1
        """Optimizer step of the last round; -1 before the first."""

        self.values: dict[str, float] = {}
        """The values of the last round, by their names in the log."""

        self._must_log_values = False

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the values of the last round."""
        # The time of a round is left out, so that a resumed run writes the same checkpoints as a run that never
        # stopped.
        values = {name: value for name, value in self.values.items() if not name.startswith("time/")}
        return {"last_step": self.last_step, "values": values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step and the values of the last round."""
        self.last_step, self.values = state_dict["last_step"], dict(state_dict["values"])

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure at the start of a run, but not of a resumed run, whose checkpoint has a measurement."""
        self._set_up(trainer, pl_module)
        if self.last_step < 0:
            self._measure(trainer, cast(RolloutModule, pl_module))
        # Checkpoints do not contain Lightning's metrics, so the saved values are logged again.
        self._must_log_values = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when a round is due, before a checkpoint of this step is written."""
        step = trainer.global_step
        is_due = step % self.every_n_steps == 0 or (self.at_validation and validation_follows(trainer))
        # With accumulated gradients several batches belong to one step.
        if is_due and step != self.last_step:
            self._measure(trainer, cast(RolloutModule, pl_module))
        if self._must_log_values:
            self._log_values(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure in ``trainer.validate``; in training ``on_train_batch_end`` measures."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._measure_once(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure in ``trainer.test``."""
        self._measure_once(trainer, pl_module)

    # --- measuring ------------------------------------------------------------------------------------------

    def _measure_once(self, trainer: Trainer, module: LightningModule) -> None:
        self._set_up(trainer, module)
        self._measure(trainer, cast(RolloutModule, module))
        self._log_values(module)

    def _set_up(self, trainer: Trainer, module: LightningModule) -> None:
        """Choose the prompts, take their pictures away, and deal them out to the ranks."""
        if not isinstance(module, RolloutModule):
            raise ConfigError(
                f"callbacks.blind needs a model that samples, such as GRPOModule, got {type(module).__name__}: its "
                "completions are compared. null switches the probes off."
            )
        split = self.split or ("test" if trainer.state.fn == TrainerFn.TESTING else "val")
        probes = [prompt for prompt in self._held_out(trainer, split) if prompt.images][: self.num_probes]
        if len(probes) < max(2, trainer.world_size):
            raise DataError(
                f"callbacks.blind: the split {split} has {len(probes)} prompts with images, and at least "
                f"{max(2, trainer.world_size)} are needed: one for each rank, and one whose picture another gets. Set "
                "callbacks.blind.split or callbacks.blind.source, or switch the probes off with callbacks.blind=null."
            )
        asked = {"seen": probes} | {
            kind: blind_prompts(probes, kind, seed=self.seed, masked_share=self.masked_share) for kind in self.kinds
        }
        # Prompts are divided among ranks last: the picture of a prompt must not depend on the number of ranks.
        self.prompts = {name: each[trainer.global_rank :: trainer.world_size] for name, each in asked.items()}

    def _held_out(self, trainer: Trainer, split: str) -> Sequence[Prompt]:
        data = prompt_data(trainer)
        # The data module has checked the run's own prompts and has left out those that do not fit.
        if self.source is None and split in data.prompts:
            return data.prompts[split]
        return held_out_rows(trainer, self.source or data.source, split, "rejected_blind_probes.json").prompts

    def _measure(self, trainer: Trainer, module: RolloutModule) -> None:
        """Ask all probes; log and keep the values."""
        self.last_step = trainer.global_step
        started = time.perf_counter()
        with torch.no_grad():
            everywhere = gather_ranks(self._counts(module))
        # From here on all values are equal on every rank: sums over ranks come first, then ratios.
        totals = ProbeCounts.total(everywhere)
        self.values = {f"blind/{name}": counts.rate for name, counts in totals.sums.items() if counts.trials}
        self.values["time/blind_seconds"] = time.perf_counter() - started
        self._must_log_values = True
        for logger in trainer.loggers:
            logger.log_metrics(self.values, step=trainer.global_step)

    def _counts(self, module: RolloutModule) -> ProbeCounts:
        """Return the sums of this rank's probes."""
        counts = ProbeCounts()
        likeliest = replace(module.sampling, group_size=1, temperature=0.0)
        seed = position_seed(self.seed, "blind", module.global_rank)
        right: dict[str, list[float | None]] = {}
        completions: list[Completion] = []
        for name, prompts in self.prompts.items():
            greedy = [group[0] for group in module.sample(prompts, likeliest, seed=seed)]
            completions = completions or greedy
            right[name] = _accuracies(module, prompts, greedy)
            _count_known(counts, f"accuracy_{name}", right[name])
            counts.add("unknown_fraction", sum(score is None for score in right[name]), len(right[name]))
        logps = {name: _logps(module, prompts, completions) for name, prompts in self.prompts.items()}
        num_tokens = sum(len(completion.token_ids) for completion in completions)
        for kind in self.kinds:
            # Only probes whose accuracy is known with and without the picture, so that the gap compares the same
            # prompts.
            gaps = [
                seen - blind
                for seen, blind in zip(right["seen"], right[kind], strict=True)
                if seen is not None and blind is not None
            ]
            counts.add(f"accuracy_gap_{kind}", math.fsum(gaps), len(gaps))
            counts.add(f"logp_gap_{kind}", logps["seen"] - logps[kind], num_tokens)
        return counts

    def _log_values(self, module: LightningModule) -> None:
        """Log to Lightning's metrics only, for callbacks that watch a metric; the loggers already have the values."""
        module.log_dict(self.values, logger=False, batch_size=1)
        self._must_log_values = False


def _accuracies(
    module: RolloutModule, prompts: Sequence[Prompt], completions: Sequence[Completion]
) -> list[float | None]:
    """Return the accuracy of each completion, None where it is unknown."""
    # ``module.score`` would update running statistics of the reward, and a probe must not change the run.
    outcomes = score_outcomes(module.reward.parts["accuracy"].reward, prompts, completions).of_completions
    return [score if isinstance(score, float) else None for score in outcomes]


def _count_known(counts: ProbeCounts, name: str, scores: Sequence[float | None]) -> None:
    known = [score for score in scores if score is not None]
    counts.add(name, math.fsum(known), len(known))


def _logps(module: RolloutModule, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> float:
    """Return the log-probability in nats of completions (P) after their prompts (P), summed over all tokens."""
    policy: Policy = module.loaded_policy
    parts = [range(start, min(start + _ROWS, len(prompts))) for start in range(0, len(prompts), _ROWS)]
    # Ranks with sharded weights run equally many forwards; prompts that a rank reads twice for this are not counted.
    (num_parts,) = largest_over_ranks(policy, len(parts))
    was_training = policy.training
    policy.train(False)
    total = 0.0
    try:
        with module.trainer.precision_plugin.forward_context():
            for number in range(num_parts):
                rows = parts[number] if number < len(parts) else parts[0]
                ids = [completions[row].token_ids for row in rows]
                padded = pad_sequence(ids, batch_first=True)  # (B, T)
                is_completion = (
                    torch.arange(padded.shape[1])[None, :] < torch.tensor([len(row) for row in ids])[:, None]
                )
                scores = policy.completion_scores(
                    [prompts[row] for row in rows], torch.arange(len(ids)), padded, is_completion
                )
                total += float(scores.logps.double().sum()) if number < len(parts) else 0.0
    finally:
        policy.train(was_training)
    return total
