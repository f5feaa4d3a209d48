"""Writes how often ``predict`` solved each prompt, which is the pool of the offline Selective Sample Buffer."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from algorithms import ConfigError, Prompt, RolloutGroup
from callbacks.destination import check_destination
from callbacks.prompt_data import prompt_data
from datamodules.prompts import PromptDataModule
from datamodules.sources.prompt_pool import PoolEntry, histogram_in_words, read_entries, summary
from lightning_modules import RolloutModule
from rollouts import RolloutPhase, gather_ranks
from storage import whole_folder


class PromptPoolWriter(Callback):
    """Writes notes after every batch, so that a killed run can continue, and writes the pool at the end."""

    def __init__(self, folder: str, part: str = "accuracy") -> None:
        """Set the destination.

        Args:
            folder: written when prediction has ended; an older one is replaced. During the run the notes lie beside it,
                in a folder named ``FOLDER.partial``.
            part: reward part that decides whether a completion is right, by a score above 0.5. A completion that the
                part cannot score is left out and counted, because unknown is not wrong.
        """
        self.folder, self.part = Path(folder), part
        self.partial = self.folder.with_name(f"{self.folder.name}.partial")

    def check_places(self, command: str) -> None:
        """Refuse a place where nothing can be written."""
        check_destination("callbacks.pool.folder", self.folder)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without the part, and let the data module skip the prompts in the notes."""
        if not isinstance(pl_module, RolloutModule) or self.part not in pl_module.reward.parts:
            raise ConfigError(
                f"callbacks.pool needs a module with a reward part {self.part!r}, got {type(pl_module).__name__}: use "
                "lightning_modules.RolloutModule, and name one of its parts."
            )
        self.check_places(stage)
        data = prompt_data(trainer)
        self._check_settings(pl_module, data)
        notes = self._notes(trainer)
        if notes.is_file():
            data.skip_answered({entry.uid for entry in read_entries(notes)})
            # A killed run may leave half a line, which would corrupt the next line, so only whole lines are written
            # back.
            notes.write_text("".join(entry.line() for entry in read_entries(notes)), encoding="utf-8")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: RolloutPhase,
        batch: Sequence[Prompt],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the prompts of a batch to the notes."""
        with self._notes(trainer).open("a") as notes:
            notes.write("".join(self._entry(group).line() for group in outputs.groups))
            # Written to the disk before the next batch starts.
            notes.flush()
            os.fsync(notes.fileno())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the pool of all ranks."""
        noted = [entry for of_rank in gather_ranks(read_entries(self._notes(trainer))) for entry in of_rank]
        if not trainer.is_global_zero:
            return
        # One note per prompt: a continued run answers the last batch again, and every batch that lacks a prompt.
        entries = [entry for _, entry in sorted({entry.uid: entry for entry in noted}.items())]
        with whole_folder(self.folder, replace=True) as draft:
            (draft / "pool.jsonl").write_text("".join(entry.line() for entry in entries), encoding="utf-8")
            (draft / "pool.json").write_text(json.dumps(summary(entries), indent=1) + "\n", encoding="utf-8")
            draw_histogram(entries, draft / "pool.png")
        shutil.rmtree(self.partial)
        print(f"{self.folder}: {len(entries)} prompts, {histogram_in_words(entries)}")  # noqa: T201

    def _entry(self, group: RolloutGroup) -> PoolEntry:
        scores = group.parts[self.part]  # (G,); NaN where there is no score
        num_unknown = int(scores.isnan().sum())
        num_correct = int((scores > 0.5).sum())
        return PoolEntry(group.prompt.uid, group.prompt.key, len(scores) - num_unknown, num_correct, num_unknown)

    def _notes(self, trainer: Trainer) -> Path:
        return self.partial / f"rank{trainer.global_rank}of{trainer.world_size}.jsonl"

    def _check_settings(self, module: RolloutModule, data: PromptDataModule) -> None:
        """Refuse to mix notes of another policy, of other prompts or of other sampling with those of this run."""
        settings = {
            "policy": {key: str(value) for key, value in vars(module.policy_source).items()},
            "prompts": str(data.source.split_file(data.reading.predict_split)),
            "sampling": str(module.sampling),
            "batch_size": data.reading.batch_size,
            "seed": module.seed,
        }
        self.partial.mkdir(parents=True, exist_ok=True)
        file = self.partial / "settings.json"
        if file.is_file() and (known := json.loads(file.read_text(encoding="utf-8"))) != settings:
            changed = [key for key in settings if known.get(key) != settings[key]]
            raise ConfigError(
                f"callbacks.pool.folder: {self.partial} holds notes of a run that was stopped, with another "
                f"{', '.join(changed)}: go on with its settings, or remove that folder."
            )
        file.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def draw_histogram(entries: Sequence[PoolEntry], path: Path) -> None:
    """Draw how many prompts have how many correct samples."""
    counts = summary(entries)["prompts_by_num_correct"]
    num_samples = max(entry.num_samples for entry in entries)
    # pyplot is not used: it would keep the figure in memory and may open a window.
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    panel = figure.subplots()
    colors = ["tab:blue" if 0 < k < num_samples else "lightgray" for k in range(num_samples + 1)]
    bars = panel.bar(range(num_samples + 1), [counts.get(k, 0) for k in range(num_samples + 1)], color=colors)
    panel.bar_label(bars, fontsize=8)
    panel.set(xlabel=f"correct of {num_samples} samples", ylabel="prompts", title="gray: no learning signal")
    FigureCanvasAgg(figure).print_png(path)
