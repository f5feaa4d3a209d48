"""Callbacks that watch and steer a run; a config can replace, configure or switch off each of them by name."""

from callbacks.completions_page import CompletionsPage
from callbacks.export import ExportPolicy
from callbacks.loop.blind_probes import BlindProbes
from callbacks.loop.calibrator import RewardThresholdCalibrator
from callbacks.loop.monitor import HallucinationMonitor
from callbacks.loop.probes import ProbeConfig
from callbacks.pair_writer import PairWriter
from callbacks.pool_writer import PromptPoolWriter
from callbacks.predictions import PredictionWriter
from callbacks.progress import RolloutProgressBar
from callbacks.random_state import RandomState
from callbacks.step_checkpoint import StepCheckpoint
from callbacks.tensorboard_layout import TensorBoardLayout

__all__ = [
    "BlindProbes",
    "CompletionsPage",
    "ExportPolicy",
    "HallucinationMonitor",
    "PairWriter",
    "PredictionWriter",
    "ProbeConfig",
    "PromptPoolWriter",
    "RandomState",
    "RewardThresholdCalibrator",
    "RolloutProgressBar",
    "StepCheckpoint",
    "TensorBoardLayout",
]
