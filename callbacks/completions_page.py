"""A page of completions in TensorBoard: prompts with their images, completions, scores and claims in colour.

completions/prompt_K    the prompts of a rollout on which completions differ most
completions/fixed_K     the first held-out prompts, the same at every validation: how the answers change
"""

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.tensorboard import SummaryWriter

from algorithms import Claim, RolloutGroup, check_at_least
from callbacks.cards import completion_card, score_lines
from lightning_modules.logs.tensorboard import tensorboard_writers
from rollouts import RolloutPhase


class CompletionsPage(Callback):
    """Writes cards, texts and histograms of a rollout to TensorBoard."""

    def __init__(self, every_n_rollouts: int = 10, num_prompts: int = 4, num_fixed: int = 2) -> None:
        """Set how often a page is written, and its size.

        Args:
            every_n_rollouts: rollouts between two pages; the first rollout always gets one.
            num_prompts: prompts on a page; those with the most mixed rewards come first.
            num_fixed: held-out prompts that are shown at every validation, with their first two completions.
        """
        check_at_least("callbacks.completions.every_n_rollouts", every_n_rollouts, 1)
        check_at_least("callbacks.completions.num_prompts", num_prompts, 1)
        check_at_least("callbacks.completions.num_fixed", num_fixed, 0)
        self.num_fixed = num_fixed
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

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the cards of the first held-out prompts."""
        # MPO's second loader has pairs, without completions.
        if batch_idx > 0 or trainer.sanity_checking or not isinstance(outputs, RolloutPhase):
            return
        for writer in tensorboard_writers(trainer):
            for number, group in enumerate(outputs.groups[: self.num_fixed]):
                card = completion_card(first_completions(group, 2))
                writer.add_image(f"completions/fixed_{number}", card, trainer.global_step, dataformats="HWC")

    def _write(self, writer: SummaryWriter, phase: RolloutPhase, step: int) -> None:
        # (P,); a group with an unknown reward comes last, and its card shows which completion has it.
        spread = phase.rewards.std(dim=1, correction=0).nan_to_num(-1.0)
        # A stable sort keeps the order of prompts with equal spread, so a repeated run shows the same page.
        most_mixed = spread.argsort(descending=True, stable=True)[: self.num_prompts]
        shown = [phase.group(index) for index in most_mixed.tolist()]
        for number, group in enumerate(shown):
            writer.add_image(f"completions/prompt_{number}", completion_card(group), step, dataformats="HWC")
        writer.add_text("completions/text", "\n\n".join(_as_text(group) for group in shown), step)
        # TensorBoard refuses a histogram with NaN, and an empty histogram.
        if phase.is_known.any():
            writer.add_histogram("rollout/reward_histogram", phase.rewards[phase.is_known], step)
        writer.add_histogram("rollout/advantage_histogram", phase.advantages, step)


def _as_text(group: RolloutGroup) -> str:
    """Return a group as preformatted HTML."""
    rows = [f"**{_escaped(group.prompt.question)}** (answer: {_escaped(str(group.prompt.answer))})", ""]
    for index, completion in enumerate(group.completions):
        claims = None if group.claims is None else group.claims[index]
        rows.append(f"- {_escaped('; '.join(score_lines(group, index)))}")
        rows.append(f"  {_marked(completion.text, claims or [])}")
    return "\n".join(rows)


def _marked(text: str, claims: Sequence[Claim]) -> str:
    """Return a text with its claims in bold, each with a tick (supported by the images) or a cross (unsupported)."""
    pieces, start = [], 0
    for claim in sorted(claims, key=lambda claim: claim.start):
        mark = "✓" if claim.is_supported else "✗"
        pieces += [_escaped(text[start : claim.start]), f" **{_escaped(text[claim.start : claim.end])}** {mark} "]
        start = claim.end
    return "".join([*pieces, _escaped(text[start:])])


def _escaped(text: str) -> str:
    """Return a text that TensorBoard's markdown shows as it is, in one line."""
    text = re.sub(r"([\\`*_{}\[\]()#+\-.!|~$])", r"\\\1", html.escape(text, quote=False))
    return " ".join(text.split())


def first_completions(group: RolloutGroup, count: int) -> RolloutGroup:
    """Return a group with its first completions only."""
    return replace(
        group,
        completions=group.completions[:count],
        parts={name: scores[:count] for name, scores in group.parts.items()},
        rewards=group.rewards[:count],
        advantages=group.advantages[:count],
        claims=None if group.claims is None else group.claims[:count],
    )
