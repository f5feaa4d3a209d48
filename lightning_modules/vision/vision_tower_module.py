"""Training of the tiny vision tower: it names the object in each cell of a picture. Real towers come trained.

Shapes: B pictures, N patches, one per cell.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from algorithms import ConfigError, Prompt
from lightning_modules.learner import LearnerModule
from lightning_modules.learning import OptimizerConfig, build_optimizer
from lightning_modules.precision import check_precision
from lightning_modules.strategy import sharding_of
from models import TinyVisionTower


class VisionTowerModule(LearnerModule):
    """Trains a vision tower with one linear classifier for all patches, which is not saved.

    Rows need one image and a column ``cells``: for each patch, in reading order, the word for its object.
    """

    def __init__(
        self,
        tower: TinyVisionTower,
        words: list[str],
        optimizer: OptimizerConfig,
        further: dict[str, list[str]] | None = None,
    ) -> None:
        """Remember the settings.

        Args:
            tower: sizes of the tower to build.
            words: all words that a cell may have.
            optimizer: learning rate and schedule.
            further: further columns with a word for each patch, and all words that the column may have. Each column has
                a classifier of its own, and the losses are added. Without them the tower learns what the objects are
                but not where.
        """
        super().__init__()
        self.tower, self.image_processor = tower.build()
        self.word_index = {word: i for i, word in enumerate(words)}
        self.classifier = nn.Linear(self.tower.config.hidden_size, len(words))
        self.further_index = {
            name: {word: i for i, word in enumerate(known)} for name, known in (further or {}).items()
        }
        width = self.tower.config.hidden_size
        self.further_classifiers = nn.ModuleDict({n: nn.Linear(width, len(i)) for n, i in self.further_index.items()})
        self.optimizer_config = optimizer
        # LLaVA reads the last hidden state before this norm, so the norm is not trained.
        self.tower.post_layernorm.requires_grad_(False)

    def configure_model(self) -> None:
        """Refuse to be sharded, and to learn in 16 bits."""
        check_precision(self._trainer)
        # Gathering such a small tower from all ranks would take longer than computing with it.
        if sharding_of(self._trainer) is not None:
            raise ConfigError(
                "trainer.strategy FSDP2Strategy cannot train VisionTowerModule: sharding its third of a million "
                "parameters saves nothing. Use strategy ddp (configs/hardware/ddp.yaml)."
            )

    def configure_optimizers(self) -> Any:
        """AdamW on tower and classifier."""
        return build_optimizer(self, self.optimizer_config)

    def training_step(self, batch: Sequence[Prompt], batch_idx: int) -> Tensor:
        """Return the classification loss, the sum over all columns."""
        losses = [
            # (B, N, words) -> (B N, words)
            nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
            for _, logits, labels in self._classified(batch)
        ]
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Log the share of patches of held-out pictures that are named correctly, for each column."""
        for name, logits, labels in self._classified(batch):
            accuracy = (logits.argmax(-1) == labels).float().mean()
            self.log(f"val/cell_accuracy{name}", accuracy, prog_bar=True, batch_size=len(batch))

    def _classified(self, batch: Sequence[Prompt]) -> list[tuple[str, Tensor, Tensor]]:
        """Return for each column the suffix of its metric's name, logits (B, N, words) and labels (B, N)."""
        images = [prompt.images[0].load() for prompt in batch]
        pixels = self.image_processor(images, return_tensors="pt")["pixel_values"].to(self.device)
        features = self.tower(pixels, output_hidden_states=True).hidden_states[-1]  # (B, N, hidden size)
        found = [("", self.classifier(features), self._labels(batch, "cells", self.word_index))]
        for column, index in self.further_index.items():
            logits = self.further_classifiers[column](features)
            found.append((f"_{column}", logits, self._labels(batch, column, index)))
        return found

    def _labels(self, batch: Sequence[Prompt], column: str, index: dict[str, int]) -> Tensor:
        return torch.tensor([[index[word] for word in prompt.columns[column]] for prompt in batch], device=self.device)

    def save_pretrained(self, folder: str) -> None:
        """Write tower and image processor in Hugging Face format, on one rank."""
        if not self.trainer.is_global_zero:
            return
        self.tower.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
