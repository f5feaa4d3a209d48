"""Access to TensorBoard's own writers, because Lightning's logging takes numbers but no pictures, texts or layouts."""

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def tensorboard_writers(trainer: Trainer) -> list[SummaryWriter]:
    """Return the writers of a run's TensorBoard loggers, on global rank 0; none on other ranks."""
    if not trainer.is_global_zero:
        return []
    # A run may have other loggers, or none.
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
