"""The page a researcher reads daily: prompts with their pictures, completions, scores and wrong claims."""

import html
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from algorithms import ConfigError, RolloutGroup
from callbacks.completion_card import completion_card, score_line
from rollouts import RolloutPhase


class CompletionsPage(Callback):
    """Writes cards, texts and histograms of a rollout to TensorBoard."""

    def __init__(self, every_n_rollouts: int = 10, num_prompts: int = 4) -> None:
        """Set how often and how much.

        Args:
            every_n_rollouts: rollouts between two pages; the first rollout always gets one.
            num_prompts: prompts on a page; those with the most mixed rewards come first.
        """
        for key, value in (("every_n_rollouts", every_n_rollouts), ("num_prompts", num_prompts)):
            if value < 1:
                raise ConfigError(f"callbacks.completions.{key} must be at least 1, got {value}.")
        self.every_n_rollouts, self.num_prompts = every_n_rollouts, num_prompts
        self.num_rollouts = 0

    def state_dict(self) -> dict[str, Any]:
        """Return how many rollouts were seen."""
        return {"num_rollouts": self.num_rollouts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.num_rollouts = state_dict["num_rollouts"]

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Write a page when it is time."""
        is_due = self.num_rollouts % self.every_n_rollouts == 0
        self.num_rollouts += 1
        if not is_due or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                self._write(logger.experiment, phase, getattr(pl_module, "claims", None), trainer.global_step)

    def _write(self, writer: Any, phase: RolloutPhase, grammar: Any, step: int) -> None:
        spread = phase.rewards.std(dim=1, correction=0)
        shown = [phase.groups[i] for i in spread.argsort(descending=True, stable=True)[: self.num_prompts].tolist()]
        for number, group in enumerate(shown):
            card = np.asarray(completion_card(group, grammar))
            writer.add_image(f"completions/prompt_{number}", card, step, dataformats="HWC")
        writer.add_text("completions/text", "\n\n".join(_as_text(group) for group in shown), step)
        writer.add_histogram("rollout/reward_histogram", phase.rewards, step)
        writer.add_histogram("rollout/advantage_histogram", phase.advantages, step)


def _as_text(group: RolloutGroup) -> str:
    """Return a group as preformatted text; raw completions would be read as markdown."""
    lines = [f"{group.prompt.question}   (answer: {group.prompt.answer})"]
    for rollout in group.rollouts:
        lines += [score_line(rollout), f"    {rollout.completion.text}"]
    return f"<pre>\n{html.escape(chr(10).join(lines))}\n</pre>"
