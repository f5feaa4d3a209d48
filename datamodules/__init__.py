"""Where prompts, demonstrations and experience come from."""

from datamodules.demonstrations import DemonstrationDataModule
from datamodules.experience import ExperienceDataModule
from datamodules.prompt_folder import PromptFolder
from datamodules.prompts import PromptDataModule
from datamodules.shapes import ShapesDemonstrations, ShapesFolder

__all__ = [
    "DemonstrationDataModule",
    "ExperienceDataModule",
    "PromptDataModule",
    "PromptFolder",
    "ShapesDemonstrations",
    "ShapesFolder",
]
