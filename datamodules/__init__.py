"""Where prompts, demonstrations and experience come from."""

from datamodules.demonstrations import DemonstrationDataModule
from datamodules.experience import ExperienceDataModule
from datamodules.online_preferences import OnlinePreferenceDataModule
from datamodules.preferences import PairDataModule, PreferenceDataModule
from datamodules.prompts import PromptDataModule
from datamodules.shapes.folders import ShapesDemonstrations, ShapesFolder
from datamodules.shapes.pairs import ShapesPairs
from datamodules.sources.pair_folders import MMPRFolder, PairSource, PreferenceFolder
from datamodules.sources.pope_files import PopeFile
from datamodules.sources.pope_probes import PopeFolder
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.prompt_pool import PromptPool

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
