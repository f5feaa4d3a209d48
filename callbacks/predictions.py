"""Writes what ``predict`` sampled: one JSON line per prompt."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import Prompt, RolloutGroup
from callbacks.destination import check_destination
from rollouts import RolloutPhase


class PredictionWriter(Callback):
    """Writes prompts, completions, reward parts with their reasons, and judged claims."""

    def __init__(self, path: str | None = None) -> None:
        """Set the destination.

        Args:
            path: the JSONL file; null: predictions.jsonl in the run's log folder. With several ranks each writes a file
                of its own, with its number before the suffix.
        """
        self.path = path

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a place where nothing can be written."""
        if self.path is not None and stage == "predict":
            check_destination("callbacks.predictions.path", Path(self.path), is_folder=False)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an empty file."""
        file = self._file(trainer)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: RolloutPhase,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the prompts of a batch."""
        with self._file(trainer).open("a") as lines:
            for group in outputs.groups:
                prompt = group.prompt
                row = {"key": prompt.key, "question": prompt.question, "answer": prompt.answer}
                completions = [_row(group, index) for index in range(len(group.completions))]
                lines.write(json.dumps({**row, "completions": completions}) + "\n")

    def _file(self, trainer: Trainer) -> Path:
        # Trainer.log_dir is a collective call: with no path, every rank makes it.
        file = Path(self.path) if self.path else Path(trainer.log_dir or trainer.default_root_dir) / "predictions.jsonl"
        return file if trainer.world_size == 1 else file.with_suffix(f".rank{trainer.global_rank}{file.suffix}")


def _row(group: RolloutGroup, index: int) -> dict[str, Any]:
    """Return what is written about one completion."""
    completion = group.completions[index]
    # None, not an empty list, where no judge has facts about the image.
    claims = None if group.claims is None else group.claims[index]
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "num_tokens": len(completion.token_ids),
        "reward_parts": {name: group.score(name, index) for name in group.parts},
        "reasons": group.reasons_of(index),
        # JSON has no NaN, which is an unknown reward.
        "reward": None if group.rewards[index].isnan() else group.rewards[index].item(),
        "claims": claims and [{"thing": claim.thing, "is_supported": claim.is_supported} for claim in claims],
    }
