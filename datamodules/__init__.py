"""Data modules, which the section ``data`` of a config names, and the sources that they read."""

from datamodules.demonstrations import DemonstrationDataModule
from datamodules.experience import ExperienceDataModule
from datamodules.online_preferences import OnlinePreferenceDataModule
from datamodules.photographs.folders import MosaicDemonstrations, MosaicFolder
from datamodules.photographs.pairs import MosaicPairs
from datamodules.preferences import PairDataModule, PreferenceDataModule
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig
from datamodules.rows.columns.column_map import ColumnMap, JoinedTable
from datamodules.rows.columns.pair_columns import PairColumns
from datamodules.rows.prompt_template import PromptTemplate
from datamodules.shapes.folders import ShapesDemonstrations, ShapesFolder
from datamodules.shapes.in_words import ShapesInWords
from datamodules.shapes.pairs import ShapesPairs
from datamodules.sources.coco_objects import CocoObjects
from datamodules.sources.hub_prompts import HubPrompts
from datamodules.sources.mixture import MixedSource, PromptMixture
from datamodules.sources.mmpr_folder import MMPRFolder
from datamodules.sources.pair_source import PairSource
from datamodules.sources.pope_files import PopeFile
from datamodules.sources.pope_probes import PopeFolder
from datamodules.sources.preference_folder import PreferenceFolder
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.prompt_pool import PromptPool

__all__ = [
    "CocoObjects",
    "ColumnMap",
    "DemonstrationDataModule",
    "ExperienceDataModule",
    "HubPrompts",
    "JoinedTable",
    "MMPRFolder",
    "MixedSource",
    "MosaicDemonstrations",
    "MosaicFolder",
    "MosaicPairs",
    "OnlinePreferenceDataModule",
    "PairColumns",
    "PairDataModule",
    "PairSource",
    "PopeFile",
    "PopeFolder",
    "PreferenceDataModule",
    "PreferenceFolder",
    "PromptDataModule",
    "PromptFolder",
    "PromptMixture",
    "PromptPool",
    "PromptTemplate",
    "ReadingConfig",
    "ShapesDemonstrations",
    "ShapesFolder",
    "ShapesInWords",
    "ShapesPairs",
]
