"""The policy as three parts, and where policies come from."""

from models.policy import Policy
from models.sources import AssembledPolicy, PolicySource, PretrainedPolicy, TinyLanguageModel, TinyVisionTower

__all__ = ["AssembledPolicy", "Policy", "PolicySource", "PretrainedPolicy", "TinyLanguageModel", "TinyVisionTower"]
