"""Prevents changes that vLLM 0.32 would make to the process and to the learner's classes, before ``LLM`` is used.

All patches were tested with exactly this version; a private name that is missing in another version is an error.
"""

# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# vLLM is an extra.

import logging
import os
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from algorithms import ConfigError


def quiet_vllm() -> None:
    """Make vLLM log warnings only and send no usage reports; must be called before vLLM is imported."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


def quiet_updates() -> None:
    """Silence vLLM's warning about weights that an update lacks: updates hold only the weights that learn.

    Must be called after ``LLM`` is built, because building it sets up logging anew and resets levels.
    """
    logging.getLogger("vllm.model_executor.model_loader.reload").setLevel(logging.ERROR)


def patched_llm(*, is_eager: bool, is_spread: bool) -> Any:
    """Import vLLM and return its ``LLM``, with patches against what would harm the learner."""
    # Before the import, because vLLM sets up its logging while it is imported.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if is_spread else "0"
    quiet_vllm()
    try:
        import vllm.model_executor.models.transformers.base as transformers_backend
        import vllm.v1.engine.core as core
        import vllm.v1.sample.sampler as sampler
        from vllm import LLM  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError as error:
        raise ConfigError(
            f"model.engine needs vLLM, which cannot be imported here ({error}): `make setup-vllm` installs it for the "
            "CPU, `pip install -e .[vllm]` for GPUs; or use rollouts.TransformersEngine."
        ) from error
    if is_eager:
        # vLLM would rewrite Hugging Face classes for compilation, and the learner uses the same classes.
        _replace(transformers_backend.Base, "_decorate_cls_for_torch_compile", _leave_class)
    clean_up = partial(_leave_process_group, is_ours=not dist.is_initialized())
    _replace(core, "cleanup_dist_env_and_memory", clean_up)
    if not torch.cuda.is_available():
        # The first request with log-probabilities would compile this one line for 20 seconds.
        compiled = sampler.batched_count_greater_than
        _replace(sampler, "batched_count_greater_than", getattr(compiled, "_torchdynamo_orig_callable", compiled))
    return LLM


def _replace(holder: Any, name: str, new: Any) -> None:
    """Set an attribute of vLLM that must exist already."""
    if not hasattr(holder, name):
        raise ConfigError(f"vLLM has no {name} here: this project works with vllm==0.32.0 and no other version.")
    setattr(holder, name, new)


def _leave_process_group(*, is_ours: bool) -> None:
    """Remove vLLM's groups from the default process group, and destroy the default group only if vLLM made it."""
    from vllm.distributed import parallel_state

    # A trainer that ended before has destroyed the group with everything built on it.
    if dist.is_initialized():
        parallel_state.destroy_model_parallel()
        if parallel_state._WORLD is not None:
            parallel_state._WORLD.destroy()
            parallel_state._WORLD = None
        if is_ours:
            dist.destroy_process_group()


def _leave_class(self: Any, *args: Any, **kwargs: Any) -> None:
    del self, args, kwargs
