"""Writes what ``predict`` sampled: one JSON line per prompt."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import ClaimGrammar, Completion, Prompt, find_claims


class PredictionWriter(Callback):
    """Writes prompts, completions, reward parts and judged claims."""

    def __init__(self, path: str | None = None) -> None:
        """Set the destination.

        Args:
            path: the JSONL file; null writes predictions.jsonl in the run's log folder. With several ranks each
                writes its own file, with its number in front of the suffix.
        """
        self.path = path

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an empty file."""
        file = self._file(trainer)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the prompts of a batch."""
        groups, scores = outputs
        grammar = getattr(pl_module, "claims", None)
        number = 0
        with self._file(trainer).open("a") as lines:
            for prompt, group in zip(batch, groups, strict=True):
                completions = []
                for completion in group:
                    parts = {name: values[number] for name, values in scores.parts.items()}
                    completions.append(_row(prompt, completion, parts, scores.totals[number], grammar))
                    number += 1
                row = {"key": prompt.key, "question": prompt.question, "answer": prompt.answer}
                lines.write(json.dumps({**row, "completions": completions}) + "\n")

    def _file(self, trainer: Trainer) -> Path:
        file = Path(self.path) if self.path else Path(trainer.log_dir or ".") / "predictions.jsonl"
        return file if trainer.world_size == 1 else file.with_suffix(f".rank{trainer.global_rank}{file.suffix}")


def _row(
    prompt: Prompt,
    completion: Completion,
    parts: dict[str, float | None],
    reward: float,
    grammar: ClaimGrammar | None,
) -> dict[str, Any]:
    claims = None
    if grammar is not None and prompt.facts is not None:
        found = find_claims(completion.text, prompt.facts, grammar)
        claims = [{"thing": claim.thing, "is_supported": claim.is_supported} for claim in found]
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "num_tokens": len(completion.token_ids),
        "reward_parts": parts,
        "reward": reward,
        "claims": claims,
    }
