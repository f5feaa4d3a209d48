"""What is trained, and its training step: one LightningModule for each stage of the recipe."""

from lightning_modules.alignment_module import AlignmentModule
from lightning_modules.evaluation import EvaluationConfig
from lightning_modules.grpo_module import GRPOModule
from lightning_modules.learner import LearnerModule, TrainingDiverged
from lightning_modules.learning import LearningConfig, OptimizerConfig
from lightning_modules.mpo_module import MPOModule
from lightning_modules.references import CachedReference, FrozenCopyReference, LoRAOffReference
from lightning_modules.reward_model import RewardModelModule
from lightning_modules.rollout_module import RolloutModule, RolloutObserver
from lightning_modules.signals import SignalPublisher, SignalReader
from lightning_modules.strategy import FSDP2Strategy
from lightning_modules.vision import VisionTowerModule, WordAlignmentModule

__all__ = [
    "AlignmentModule",
    "CachedReference",
    "EvaluationConfig",
    "FSDP2Strategy",
    "FrozenCopyReference",
    "GRPOModule",
    "LearnerModule",
    "LearningConfig",
    "LoRAOffReference",
    "MPOModule",
    "OptimizerConfig",
    "RewardModelModule",
    "RolloutModule",
    "RolloutObserver",
    "SignalPublisher",
    "SignalReader",
    "TrainingDiverged",
    "VisionTowerModule",
    "WordAlignmentModule",
]
