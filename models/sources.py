"""Where a policy comes from: a folder, two folders to be joined, or nothing but a size.

A source is what a config names under ``model.policy``; it is cheap to create and loads on ``build()``.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from algorithms import ConfigError
from models.assembly import assemble
from models.policy import Policy
from models.shard_loading import on_meta, read_into_shards, skeleton
from models.sharding import Prepare, Sharding, same_on_all_ranks, shard
from models.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer


class PolicySource:
    """Something that can build a policy."""

    is_repeatable = False
    """Whether every build gives the same weights, as a reference policy needs."""

    def build(self) -> Policy:
        """Return the policy, loaded or made, in 32-bit floats on the CPU."""
        raise TypeError(f"{type(self).__name__} must define build()")

    def skeleton(self) -> Policy:
        """Return the policy without weights, for ``read_into`` to fill once it is sharded; the whole one by default."""
        return self.build()

    def read_into(self, policy: Policy, device: torch.device) -> None:
        """Fill a sharded skeleton; every rank reads its own slices."""
        raise TypeError(f"{type(self).__name__} must define read_into() for the skeleton it makes")


def build_policy(source: PolicySource, prepare: Prepare, sharding: Sharding | None = None) -> Policy:
    """Return a policy whose weights lie where they are to be while it trains.

    Args:
        source: where the policy comes from.
        prepare: says what learns, and adds LoRA; called before weights are there.
        sharding: how weights are spread over ranks; None leaves them whole, on the CPU.
    """
    if sharding is None:
        policy = source.build()
        prepare(policy)
        return policy
    policy = source.skeleton()
    prepare(policy)
    is_empty = on_meta(policy)
    if not is_empty:
        same_on_all_ranks(policy, sharding.device)
    shard(policy, policy.model, sharding, entry="completion_scores")
    if is_empty:
        source.read_into(policy, sharding.device)
    return policy


class PretrainedPolicy(PolicySource):
    """A folder (or hub name) with a Hugging Face image-text-to-text model and its processor."""

    is_repeatable = True

    def __init__(self, path: str) -> None:
        """Remember where the model is.

        Args:
            path: folder in Hugging Face format, or a hub name.
        """
        self.path = path

    def build(self) -> Policy:
        """Load weights and processor."""
        _check_folder("model.policy.path", self.path)
        model = AutoModelForImageTextToText.from_pretrained(self.path, dtype=torch.float32, use_safetensors=True)
        return Policy(model, AutoProcessor.from_pretrained(self.path))

    def skeleton(self) -> Policy:
        """Return the policy without weights."""
        _check_folder("model.policy.path", self.path)
        return Policy(skeleton(self.path), AutoProcessor.from_pretrained(self.path))

    def read_into(self, policy: Policy, device: torch.device) -> None:
        """Read every tensor's slices from the folder's safetensors files."""
        read_into_shards(policy.model, self.path, device)


class AssembledPolicy(PolicySource):
    """A vision tower and a language model from two folders, joined by a fresh adapter."""

    def __init__(self, vision_tower: str, language_model: str) -> None:
        """Remember the two folders.

        Args:
            vision_tower: folder or hub name of a vision model with its image processor.
            language_model: folder or hub name of a causal language model with its tokenizer.
        """
        self.vision_tower = vision_tower
        self.language_model = language_model

    def build(self) -> Policy:
        """Load both and join them; the adapter is drawn from torch's global generator."""
        _check_folder("model.policy.vision_tower", self.vision_tower)
        _check_folder("model.policy.language_model", self.language_model)
        tower = AutoModel.from_pretrained(self.vision_tower, dtype=torch.float32, use_safetensors=True)
        language_model = AutoModelForCausalLM.from_pretrained(
            self.language_model, dtype=torch.float32, use_safetensors=True
        )
        return Policy(
            *assemble(
                getattr(tower, "vision_model", tower),
                AutoImageProcessor.from_pretrained(self.vision_tower),
                language_model,
                load_tokenizer(self.language_model),
            )
        )


class TinyLanguageModel(PolicySource):
    """A fresh word-level Qwen2 of about half a million parameters, without vision."""

    def __init__(self, words: list[str], hidden_size: int = 128, num_layers: int = 4) -> None:
        """Set the size.

        Args:
            words: the vocabulary besides the special tokens.
            hidden_size: width; a multiple of 32.
            num_layers: depth.
        """
        self.words, self.hidden_size, self.num_layers = words, hidden_size, num_layers

    def build(self) -> Policy:
        """Return the model with weights from torch's global generator."""
        tokenizer: Any = word_tokenizer(self.words)
        model = fresh_language_model(
            len(tokenizer),
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            eos=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
        )
        return Policy(model, tokenizer)


class TinyVisionTower:
    """A fresh SigLIP tower of about a third of a million parameters."""

    def __init__(self, image_size: int = 48, patch_size: int = 16, hidden_size: int = 96, num_layers: int = 3) -> None:
        """Set the size.

        Args:
            image_size: side of the square input in pixels.
            patch_size: side of a patch in pixels; one image token each.
            hidden_size: width; a multiple of 32.
            num_layers: depth.
        """
        self.image_size, self.patch_size = image_size, patch_size
        self.hidden_size, self.num_layers = hidden_size, num_layers

    def build(self) -> tuple[Any, Any]:
        """Return tower and image processor."""
        return fresh_vision_tower(
            image_size=self.image_size,
            patch_size=self.patch_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
        )


def load_tokenizer(path: str) -> Any:
    """Return the tokenizer as it was saved.

    For a Qwen2 folder ``AutoTokenizer`` takes Qwen2's own class even when another was saved, and with it
    another way of splitting words.
    """
    settings = Path(path).expanduser() / "tokenizer_config.json"
    saved_class = json.loads(settings.read_text()).get("tokenizer_class") if settings.is_file() else None
    if saved_class in ("TokenizersBackend", "PreTrainedTokenizerFast"):
        return PreTrainedTokenizerFast.from_pretrained(path)
    return AutoTokenizer.from_pretrained(path)


def _check_folder(key: str, path: str) -> None:
    """Explain a missing folder before the hub client turns it into a connection error."""
    looks_local = path.startswith((".", "/", "~", "runs/")) or path.count("/") > 1
    if looks_local and not (Path(path).expanduser() / "config.json").is_file():
        raise ConfigError(f"{key} is {path!r}, but there is no config.json in that folder: is the path right?")
