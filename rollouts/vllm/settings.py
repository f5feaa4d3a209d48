"""How vLLM runs a policy: the settings that both vLLM engines take."""

from dataclasses import dataclass, field
from typing import Any, Literal

from algorithms import ConfigError, check_at_least

TRANSFER_STEPS = ("init_weight_transfer_engine", "start_weight_update", "update_weights", "finish_weight_update")
"""Steps of vLLM's weight transfer, by vLLM's names: the first once, then for every update the others in order."""

NO_GPU = (
    "model.engine.settings.weight_transfer must be http on this machine, got nccl: NCCL copies between GPUs, and "
    "{where} has none."
)


# Frozen, because one object is the default of both engines.
@dataclass(frozen=True, kw_only=True)
class VLLMSettings:
    """How vLLM runs the policy; see docs/scaling.md for what to choose."""

    max_model_len: int = 4096
    """Longest prompt, image tokens expanded, plus completion, in tokens; never more than the model's own limit."""

    max_rows: int = 256
    """Completions sampled side by side at most (vLLM: ``max_num_seqs``)."""

    max_images: int = 1
    """Images of one prompt at most."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of weights and cache; auto: the policy's own."""

    model_impl: Literal["transformers", "auto", "vllm"] = "transformers"
    """Which model code runs; ``transformers`` runs every model that the learner runs, with the same weight names."""

    eager: bool = True
    """Run without compilation and CUDA graphs; false is faster on GPUs and takes minutes to start."""

    gpu_memory_utilization: float = 0.4
    """Share of a GPU's memory that vLLM may take, in (0, 1]; the learner needs the rest."""

    cache_megabytes: int | None = None
    """Size of the key-value cache in MiB; null: whatever ``gpu_memory_utilization`` leaves, on a CPU 256."""

    tensor_parallel_size: int = 1
    """GPUs that one copy of the model is spread over."""

    lora: Literal["merged", "adapter"] = "merged"
    """How LoRA updates get into the copy. merged: each update is added to its weight, and the whole weight is sent
    again. adapter: only the updates are sent, and vLLM applies them beside its weights (S-LoRA, arXiv:2311.03285); only
    for the language model, up to rank 512."""

    weight_transfer: Literal["http", "nccl", "gloo"] = "http"
    """How weights reach a server. http: streamed, everywhere. nccl: vLLM's weight transfer, from GPU to GPUs. gloo: the
    same for machines without GPUs. ``vllm.config.WeightTransferConfig`` has vLLM's own description."""

    engine_args: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of ``vllm.LLM``, passed on unchanged; a server accepts only those of ``ENGINE_ARGS``
    (rollouts/vllm/guard/policy_rules.py)."""

    def __post_init__(self) -> None:
        for key in ("max_model_len", "max_rows", "max_images", "tensor_parallel_size"):
            check_at_least(f"model.engine.settings.{key}", getattr(self, key), 1)
        if self.weight_transfer != "http" and self.lora != "merged":
            raise ConfigError(
                f"model.engine.settings.weight_transfer must be http with model.engine.settings.lora=adapter, got "
                f"{self.weight_transfer}: vLLM's weight transfer has no adapters, which are small."
            )
        if self.weight_transfer == "gloo" and self.tensor_parallel_size > 1:
            raise ConfigError(
                "model.engine.settings.weight_transfer must be http or nccl with model.engine.settings."
                f"tensor_parallel_size {self.tensor_parallel_size}, got gloo: it is for machines without GPUs."
            )
        # Bounded on both sides, so ``check_at_least`` does not serve.
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ConfigError(
                f"model.engine.settings.gpu_memory_utilization must lie in (0, 1], got {self.gpu_memory_utilization}: "
                "it is a share of the GPU's memory."
            )
