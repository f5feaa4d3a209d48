"""Training before alignment: a vision tower that names objects, and an adapter that produces word embeddings."""

from lightning_modules.vision.vision_tower_module import VisionTowerModule
from lightning_modules.vision.word_alignment_module import WordAlignmentModule

__all__ = ["VisionTowerModule", "WordAlignmentModule"]
