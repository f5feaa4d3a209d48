"""What lets a language model see before it reads: a tower that names things, an adapter that says words."""

from lightning_modules.vision.vision_tower_module import VisionTowerModule
from lightning_modules.vision.word_alignment_module import WordAlignmentModule

__all__ = ["VisionTowerModule", "WordAlignmentModule"]
