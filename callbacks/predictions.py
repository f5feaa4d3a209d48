"""Writes the completions that ``predict`` and ``test`` sampled: one JSON line per prompt.

    predict    every sampled completion of each prompt
    test       the greedy completion of each prompt, which accuracy and benchmarks are computed from

``python -m evaluation.samples_page`` shows the file as a page.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from algorithms import ImageReference, Prompt, RolloutGroup
from algorithms.records import FileReference
from callbacks.destination import check_destination
from datamodules.sources.prompt_folder import PromptFolder
from rollouts import RolloutPhase
from storage import whole_file

# Columns of public data sets with the kind of a question; the first one that a row has is used.
_CATEGORIES = ("category", "subject", "kind", "subfield", "type")
# File types that browsers show; other pictures are written again in one of them.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


class PredictionWriter(Callback):
    """Writes prompts, completions, reward parts with their reasons, judged claims, and paths of pictures."""

    def __init__(self, path: str | None = None, pictures: bool = True) -> None:
        """Set the destination.

        Args:
            path: the JSONL file; null: predictions.jsonl in the run's log folder. With several ranks each writes a file
                of its own, with its number before the suffix.
            pictures: also write pictures that a browser cannot read in their place, such as pictures in tables, to the
                folder ``pictures`` beside the file; false: leave these pictures out.
        """
        self.path, self.pictures = path, pictures

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a place where nothing can be written."""
        self.check_places(stage)

    def check_places(self, command: str) -> None:
        """Refuse a place where nothing can be written by the commands that write."""
        if self.path is not None and command in ("test", "predict"):
            check_destination("callbacks.predictions.path", Path(self.path), is_folder=False)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an empty file."""
        self._start(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an empty file."""
        self._start(trainer)

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
        self._append(trainer, outputs)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the prompts of a batch."""
        self._append(trainer, outputs)

    def _start(self, trainer: Trainer) -> None:
        file = self._file(trainer)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def _append(self, trainer: Trainer, phase: RolloutPhase) -> None:
        file = self._file(trainer)
        name = _data_name(trainer)
        with file.open("a") as lines:
            for group in phase.groups:
                prompt = group.prompt
                row = {
                    # Rows of a mixture name the data set that they come from.
                    "data": str(prompt.columns.get("source", name)),
                    "key": prompt.key,
                    "category": category_of(prompt.columns),
                    "question": prompt.question,
                    "pictures": self._paths(prompt.images, file.parent),
                    "answer": prompt.answer,
                    "completions": [_row(group, index) for index in range(len(group.completions))],
                }
                lines.write(json.dumps(row) + "\n")

    def _file(self, trainer: Trainer) -> Path:
        # Trainer.log_dir is a collective call, so without a path every rank must call it.
        file = Path(self.path) if self.path else Path(trainer.log_dir or trainer.default_root_dir) / "predictions.jsonl"
        return file if trainer.world_size == 1 else file.with_suffix(f".rank{trainer.global_rank}{file.suffix}")

    def _paths(self, images: Sequence[ImageReference], folder: Path) -> list[str]:
        """Return the paths of pictures from the folder of the file; pictures in tables are written beside it."""
        found: list[str] = []
        for image in images:
            if isinstance(image, FileReference) and _is_shown(image):
                found.append(Path(os.path.relpath(image.path, folder.absolute())).as_posix())
            elif self.pictures:
                found.append(_written(image, folder))
        return found


def _data_name(trainer: Trainer) -> str:
    """Return the name of the folder that the prompts come from; empty for a data module of a user's own."""
    source = getattr(getattr(trainer, "datamodule", None), "source", None)
    return source.folder.name if isinstance(source, PromptFolder) else ""


def category_of(columns: Mapping[str, Any]) -> str:
    """Return the kind of a row's question from its columns; empty when no column has it."""
    return next((str(columns[name]) for name in _CATEGORIES if isinstance(columns.get(name), str)), "")


def _is_shown(image: FileReference) -> bool:
    # The path of a picture in a table is the path of the table.
    return image.path.suffix.lower() in _SUFFIXES


def _written(image: ImageReference, folder: Path) -> str:
    """Write a picture to ``pictures`` in a folder, unless it is there, and return its path from the folder."""
    stream = BytesIO()
    image.load().save(stream, "PNG")
    # The name is a digest of the content: rows with the same picture share the file, and ranks agree on its name.
    file = folder / "pictures" / f"{hashlib.blake2b(stream.getvalue(), digest_size=12).hexdigest()}.png"
    if not file.exists():
        with whole_file(file) as draft:
            draft.write_bytes(stream.getvalue())
    return file.relative_to(folder).as_posix()


def _row(group: RolloutGroup, index: int) -> dict[str, Any]:
    """Return the JSON object of one completion."""
    completion = group.completions[index]
    # None and not an empty list when the claims could not be judged.
    claims = None if group.claims is None else group.claims[index]
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "num_tokens": len(completion.token_ids),
        "reward_parts": {name: group.score(name, index) for name in group.parts},
        "reasons": group.reasons_of(index),
        # An unknown reward is NaN, which JSON does not have.
        "reward": None if group.rewards[index].isnan() else group.rewards[index].item(),
        "claims": claims
        and [
            {"thing": claim.thing, "start": claim.start, "end": claim.end, "is_supported": claim.is_supported}
            for claim in claims
        ],
    }
