"""Writes how often ``predict`` solved each prompt: the pool of the offline Selective Sample Buffer."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from algorithms import ConfigError, Prompt
from datamodules.prompts import PromptDataModule
from datamodules.sources.prompt_pool import PoolEntry, histogram_in_words, read_entries, summary
from lightning_modules import RolloutModule
from rollouts import RolloutPhase, gather_ranks


class PromptPoolWriter(Callback):
    """Notes every batch as it comes, so that a killed run goes on where it stopped, and writes the pool at the end."""

    def __init__(self, folder: str, part: str = "accuracy") -> None:
        """Set the destination.

        Args:
            folder: written when prediction has ended; an older one is replaced. Until then the notes lie beside it,
                in a folder named ``FOLDER.partial``.
            part: reward part that says whether a completion is right: a score above 0.5.
        """
        self.folder, self.part = Path(folder), part
        self.partial = self.folder.with_name(f"{self.folder.name}.partial")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without the part, and let the data module pass over what is noted already."""
        if not isinstance(pl_module, RolloutModule) or self.part not in pl_module.reward.parts:
            raise ConfigError(
                f"callbacks.pool needs a module with a reward part {self.part!r}, got {type(pl_module).__name__}: use "
                "lightning_modules.RolloutModule, and name one of its parts."
            )
        data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        self._check_settings(pl_module, data)
        notes = self._notes(trainer)
        if notes.is_file():
            data.skip_answered({entry.uid for entry in read_entries(notes)})
            # What a killed run left unfinished would run into the next line.
            notes.write_text("".join(entry.line() for entry in read_entries(notes)))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the prompts of a batch."""
        phase: RolloutPhase = outputs
        with self._notes(trainer).open("a") as notes:
            notes.write("".join(self._entry(group.prompt, group.rollouts).line() for group in phase.groups))
            notes.flush()
            os.fsync(notes.fileno())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pool of all ranks."""
        noted = [entry for of_rank in gather_ranks(read_entries(self._notes(trainer))) for entry in of_rank]
        if not trainer.is_global_zero:
            return
        entries = [entry for _, entry in sorted({entry.uid: entry for entry in noted}.items())]
        draft = self.folder.with_name(f"{self.folder.name}.draft-{os.getpid()}")
        draft.mkdir(parents=True)
        (draft / "pool.jsonl").write_text("".join(entry.line() for entry in entries))
        (draft / "pool.json").write_text(json.dumps(summary(entries), indent=1) + "\n")
        draw_histogram(entries, draft / "pool.png")
        shutil.rmtree(self.folder, ignore_errors=True)
        draft.rename(self.folder)
        shutil.rmtree(self.partial)
        print(f"{self.folder}: {len(entries)} prompts, {histogram_in_words(entries)}")  # noqa: T201

    def _entry(self, prompt: Prompt, rollouts: Sequence[Any]) -> PoolEntry:
        scores = [rollout.reward_parts[self.part] for rollout in rollouts]
        return PoolEntry(prompt.uid, prompt.key, len(scores), sum((score or 0.0) > 0.5 for score in scores))

    def _notes(self, trainer: Trainer) -> Path:
        return self.partial / f"rank{trainer.global_rank}of{trainer.world_size}.jsonl"

    def _check_settings(self, module: RolloutModule, data: PromptDataModule) -> None:
        """Notes of another policy or other prompts must not be mixed with these."""
        settings = {
            "policy": {key: str(value) for key, value in vars(module.policy_source).items()},
            "prompts": str(data.source.split_file(data.reading.predict_split)),
            "sampling": str(module.sampling),
            "group_size": module.group_size,
            "batch_size": data.reading.batch_size,
            "seed": module.seed,
        }
        self.partial.mkdir(parents=True, exist_ok=True)
        file = self.partial / "settings.json"
        if file.is_file() and (known := json.loads(file.read_text())) != settings:
            changed = [key for key in settings if known.get(key) != settings[key]]
            raise ConfigError(
                f"callbacks.pool.folder: {self.partial} holds notes of a run that was stopped, with another "
                f"{', '.join(changed)}: go on with its settings, or remove that folder."
            )
        file.write_text(json.dumps(settings, indent=1) + "\n")


def draw_histogram(entries: Sequence[PoolEntry], path: Path) -> None:
    """Draw how many prompts have how many correct samples."""
    counts = summary(entries)["prompts_by_num_correct"]
    num_samples = max(entry.num_samples for entry in entries)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    panel = figure.subplots()
    mixed = ["tab:blue" if 0 < k < num_samples else "lightgray" for k in range(num_samples + 1)]
    bars = panel.bar(range(num_samples + 1), [counts.get(k, 0) for k in range(num_samples + 1)], color=mixed)
    panel.bar_label(bars, fontsize=8)
    panel.set(xlabel=f"correct of {num_samples} samples", ylabel="prompts", title="gray: no learning signal")
    FigureCanvasAgg(figure).print_png(path)
