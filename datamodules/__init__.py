"""Where prompts, demonstrations and experience come from."""

from datamodules.demonstrations import DemonstrationDataModule
from datamodules.experience import ExperienceDataModule
from datamodules.online_preferences import OnlinePreferenceDataModule
from datamodules.pair_sources import MMPRFolder, PairSource, PreferenceFolder
from datamodules.pope_files import PopeFile
from datamodules.pope_probes import PopeFolder
from datamodules.preferences import PairDataModule, PreferenceDataModule
from datamodules.prompt_folder import PromptFolder
from datamodules.prompt_pool import PromptPool
from datamodules.prompts import PromptDataModule
from datamodules.shapes import ShapesDemonstrations, ShapesFolder
from datamodules.shapes_pairs import ShapesPairs

__all__ = [
    "DemonstrationDataModule",
    "ExperienceDataModule",
    "MMPRFolder",
    "OnlinePreferenceDataModule",
    "PairDataModule",
    "PairSource",
    "PopeFile",
    "PopeFolder",
    "PreferenceDataModule",
    "PreferenceFolder",
    "PromptDataModule",
    "PromptFolder",
    "PromptPool",
    "ShapesDemonstrations",
    "ShapesFolder",
    "ShapesPairs",
]
