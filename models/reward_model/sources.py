"""Where a reward model comes from; a source is cheap to create and loads on ``build()``."""

from typing import Literal

from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from models.loading.checkpoint import LoadOptions, as_config_error, check_family, load_model, read_processor
from models.loading.files import expanded
from models.policy import Policy
from models.reward_model.model import RewardModel
from models.reward_model.value_head import head_file, read_head
from models.sources import PolicySource


class RewardModelSource:
    """Base class of everything that can build a reward model."""

    def build(self) -> RewardModel:
        """Return the reward model, loaded or made, on the CPU."""
        raise TypeError(f"{type(self).__name__} must define build()")


class PretrainedRewardModel(RewardModelSource):
    """A folder (or hub name) with a backbone, its processor and ``value_head.safetensors``."""

    def __init__(self, path: str, dtype: Literal["float32", "bfloat16"] = "float32") -> None:
        """Remember where the model is.

        Args:
            path: folder in the layout of Skywork-VL-Reward, as ``save_pretrained`` writes it, or a hub name.
            dtype: dtype of the backbone; for scoring, ``bfloat16`` halves its memory. The head always has 32 bits.
        """
        self.path, self.dtype = path, dtype
        self._options = LoadOptions(dtype)

    def build(self) -> RewardModel:
        """Load head, backbone and processor, the last two as ``PretrainedPolicy`` does.

        Raises:
            ConfigError: for a folder without config or head, for a head that does not fit the backbone, for a backbone
                of an unknown family, and where weights of it are missing.
        """
        key, options = "path of PretrainedRewardModel", self._options
        # All checks come before the backbone is loaded, which may take minutes.
        file = head_file(self.path)
        check_family(key, self.path, options)
        with as_config_error(key, self.path):
            config = AutoConfig.from_pretrained(expanded(self.path))
        state = read_head(file, self.path, config)
        processor = read_processor(key, self.path, options)
        policy = Policy(load_model(AutoModelForImageTextToText, key, self.path, options), processor)
        # In 32 bits for every dtype of the backbone.
        head = nn.Linear(state["weight"].shape[1], 1)
        head.load_state_dict(state)
        return RewardModel(policy, head).eval()


class FreshRewardModel(RewardModelSource):
    """A policy's weights under a fresh head: where the training of a reward model starts."""

    def __init__(self, policy: PolicySource) -> None:
        """Remember the backbone.

        Args:
            policy: where the backbone comes from.
        """
        self.policy = policy

    def build(self) -> RewardModel:
        """Return the backbone under a head with zero bias and small weights from torch's global generator."""
        policy = self.policy.build()
        head = nn.Linear(policy.model.config.get_text_config().hidden_size, 1)
        # Entries of a final hidden state are of order 1, so with this scale first scores are of order 1 for every
        # hidden size.
        nn.init.normal_(head.weight, std=head.in_features**-0.5)
        nn.init.zeros_(head.bias)
        return RewardModel(policy, head)
