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

    def __init__(self, tower: TinyVisionTower, words: list[str], optimizer: OptimizerConfig) -> None:
        """Remember the settings.

        Args:
            tower: sizes of the tower to build.
            words: all words that a cell may have.
            optimizer: learning rate and schedule.
        """
        super().__init__()
        self.tower, self.image_processor = tower.build()
        self.word_index = {word: i for i, word in enumerate(words)}
        self.classifier = nn.Linear(self.tower.config.hidden_size, len(words))
        self.optimizer_config = optimizer
        # LLaVA reads the last hidden state, which comes before this norm.
        self.tower.post_layernorm.requires_grad_(False)

    def configure_model(self) -> None:
        """Refuse to be sharded, and to learn in 16 bits."""
        check_precision(self._trainer)
        # Gathering so small a tower from all ranks would take longer than computing with it.
        if sharding_of(self._trainer) is not None:
            raise ConfigError(
                "trainer.strategy FSDP2Strategy cannot train VisionTowerModule: sharding its third of a million "
                "parameters saves nothing. Use strategy ddp (configs/hardware/ddp.yaml)."
            )

    def configure_optimizers(self) -> Any:
        """AdamW on tower and classifier."""
        return build_optimizer(self, self.optimizer_config)

    def training_step(self, batch: Sequence[Prompt], batch_idx: int) -> Tensor:
        """Return the classification loss."""
        logits, labels = self._classify(batch)
        # (B, N, words) -> (B N, words)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Log the share of cells of held-out pictures that are named correctly."""
        logits, labels = self._classify(batch)
        accuracy = (logits.argmax(-1) == labels).float().mean()
        self.log("val/cell_accuracy", accuracy, prog_bar=True, batch_size=len(batch))

    def _classify(self, batch: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Return logits (B, N, words) and labels (B, N)."""
        images = [prompt.images[0].load() for prompt in batch]
        pixels = self.image_processor(images, return_tensors="pt")["pixel_values"].to(self.device)
        features = self.tower(pixels, output_hidden_states=True).hidden_states[-1]  # (B, N, hidden size)
        labels = [[self.word_index[word] for word in prompt.columns["cells"]] for prompt in batch]
        return self.classifier(features), torch.tensor(labels, device=self.device)

    def save_pretrained(self, folder: str) -> None:
        """Write tower and image processor in Hugging Face format, on one rank."""
        if not self.trainer.is_global_zero:
            return
        self.tower.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
