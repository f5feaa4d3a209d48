"""A page of rollouts in TensorBoard: prompts with their images, completions, scores and claims in colour."""

import html
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.tensorboard import SummaryWriter

from algorithms import RolloutGroup, check_at_least
from callbacks.cards import completion_card, score_line
from lightning_modules.logs.tensorboard import tensorboard_writers
from rollouts import RolloutPhase


class CompletionsPage(Callback):
    """Writes cards, texts and histograms of a rollout to TensorBoard."""

    def __init__(self, every_n_rollouts: int = 10, num_prompts: int = 4) -> None:
        """Set how often a page is written, and its size.

        Args:
            every_n_rollouts: rollouts between two pages; the first rollout always gets one.
            num_prompts: prompts on a page; those with the most mixed rewards come first.
        """
        check_at_least("callbacks.completions.every_n_rollouts", every_n_rollouts, 1)
        check_at_least("callbacks.completions.num_prompts", num_prompts, 1)
        self.every_n_rollouts, self.num_prompts = every_n_rollouts, num_prompts
        self.num_rollouts = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the number of rollouts so far."""
        return {"num_rollouts": self.num_rollouts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.num_rollouts = state_dict["num_rollouts"]

    def on_rollout_end(self, trainer: Trainer, pl_module: LightningModule, phase: RolloutPhase) -> None:
        """Write a page every ``every_n_rollouts`` rollouts."""
        is_due = self.num_rollouts % self.every_n_rollouts == 0
        self.num_rollouts += 1
        for writer in tensorboard_writers(trainer) if is_due else ():
            self._write(writer, phase, trainer.global_step)

    def _write(self, writer: SummaryWriter, phase: RolloutPhase, step: int) -> None:
        # (P,); a group with an unknown reward comes last, and its card shows which one it is.
        spread = phase.rewards.std(dim=1, correction=0).nan_to_num(-1.0)
        # Stable: prompts with equal spread keep their order, so that a repeated run shows the same page.
        most_mixed = spread.argsort(descending=True, stable=True)[: self.num_prompts]
        shown = [phase.group(index) for index in most_mixed.tolist()]
        for number, group in enumerate(shown):
            writer.add_image(f"completions/prompt_{number}", completion_card(group), step, dataformats="HWC")
        writer.add_text("completions/text", "\n\n".join(_as_text(group) for group in shown), step)
        # TensorBoard refuses a histogram with NaN, and one of nothing.
        if phase.is_known.any():
            writer.add_histogram("rollout/reward_histogram", phase.rewards[phase.is_known], step)
        writer.add_histogram("rollout/advantage_histogram", phase.advantages, step)


def _as_text(group: RolloutGroup) -> str:
    """Return a group as preformatted HTML."""
    lines = [f"{group.prompt.question}   (answer: {group.prompt.answer})"]
    for index, completion in enumerate(group.completions):
        lines += [score_line(group, index), f"    {completion.text}"]
    # TensorBoard reads texts as markdown: escaped, a completion is shown as it was sampled.
    return f"<pre>\n{html.escape(chr(10).join(lines))}\n</pre>"
