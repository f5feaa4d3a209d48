"""A policy inside vLLM 0.32: built empty, filled and refilled with weights, sampled from. No other file imports vLLM.

What vLLM does to the process and to the learner's classes is prevented or undone here. All of it was tried on exactly
this version; a private name that is missing in another version is an error.
"""

# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# vLLM is an extra.

import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from algorithms import ConfigError
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.process_state import restored_process_state, restored_random_states
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import VLLMSettings
from rollouts.vllm.weights.lora_adapter import room_for, set_aside, write_adapter

_BANNED = "banned_token_ids"
_CPU_CACHE_MEGABYTES = 256


class VLLMModel:
    """One policy in vLLM, in this process."""

    def __init__(self, policy: PolicyFiles, settings: VLLMSettings) -> None:
        """Build the model without weights; ``load`` must come before ``generate``.

        Raises:
            ConfigError: when vLLM is not installed.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="vllm-policy-"))
        # Spread over several GPUs vLLM runs in worker processes, otherwise in this process.
        self._is_spread = settings.tensor_parallel_size > 1
        self._adapter: Any = None
        for name, content in policy.files.items():
            (self._folder / name).write_bytes(content)
        with restored_process_state():
            self._llm = _build(self._folder, policy, settings)

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Replace these tensors, named as in a Hugging Face ``state_dict``, one at a time; other tensors stay.

        LoRA updates that come apart from their weights replace all earlier ones.
        """
        updates: dict[str, Tensor] = {}
        with restored_random_states():
            others = set_aside(iter(weights), updates)
            # Where LoRA alone learns there is no other tensor, and nothing to reload.
            if (first := next(others, None)) is not None:
                self._reload(chain([first], others))
            if updates:
                self._take_adapter(updates)
        self._clear_caches()

    def generate(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        """Return the completions of every request, in order; after a failure no request is left in the queue."""
        prompts: list[Any] = [_prompt(request) for request in requests]
        params = [_params(request) for request in requests]
        try:
            with restored_random_states():
                outputs = self._llm.generate(prompts, params, use_tqdm=False, lora_request=self._adapter)
        except BaseException:
            self._empty_queue()
            raise
        return [_group(output) for output in outputs]

    def sleep(self, level: int) -> None:
        """Free GPU memory: the cache, and the weights to host memory (1) or altogether (2)."""
        self._llm.sleep(level=level)

    def wake(self, *, what: str) -> None:
        """Take back memory for ``weights`` or ``kv_cache``."""
        self._llm.wake_up(tags=[what])

    def close(self) -> None:
        """Free all memory and remove the files."""
        if self._is_spread:
            self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reload(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        if not self._is_spread:
            # Not ``load_weights``: the CPU backend packs linear weights away, out of its reach.
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
            return
        # Through shared memory: vLLM's workers are processes of their own.
        with _shared_folder() as folder:
            for number, (name, tensor) in enumerate(weights):
                save_file({name: tensor.contiguous().cpu()}, Path(folder) / f"{number:06d}.safetensors")
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": folder})

    def _take_adapter(self, updates: dict[str, Tensor]) -> None:
        from vllm.lora.request import LoRARequest

        old = self._adapter
        # A number and a name that no earlier one had: vLLM keeps adapters, and keys of its caches, by them.
        number = 1 if old is None else old.lora_int_id + 1
        engine: Any = self._llm.llm_engine
        with _shared_folder() as folder:
            write_adapter(Path(folder), updates)
            self._adapter = LoRARequest(lora_name=f"policy-{number}", lora_int_id=number, lora_path=folder)
            if old is not None:
                engine.remove_lora(old.lora_int_id)
            # Read now, so that the files are not needed any more.
            engine.add_lora(self._adapter)
        if not self._is_spread:
            self._llm.collective_rpc(_check_all_served)

    def _clear_caches(self) -> None:
        """Drop keys, values and image features that were computed with old weights."""
        self._llm.reset_prefix_cache()
        # Without this an image seen before would keep the features of the old weights.
        self._llm.llm_engine.reset_encoder_cache()

    def _empty_queue(self) -> None:
        engine: Any = self._llm.llm_engine
        engine.abort_request(list(engine.output_processor.request_states), internal=True)
        self._clear_caches()


def _shared_folder() -> "tempfile.TemporaryDirectory[str]":
    # None: the usual folder for temporary files.
    return tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def _check_all_served(worker: Any) -> None:
    """Raise an error for a LoRA update that vLLM took and applies nowhere, which it does without a word."""
    manager = worker.model_runner.lora_manager._adapter_manager
    for adapter in manager.list_adapters().values():
        if unserved := sorted(set(adapter.loras) - set(manager.modules)):
            raise ConfigError(
                f"model.engine.settings.lora must be merged for this model, got adapter: vLLM would leave out the "
                f"updates of {', '.join(unserved[:3])} and {max(0, len(unserved) - 3)} other layers."
            )


def _lora_args(rank: int) -> dict[str, Any]:
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": room_for(rank)} if rank else {}


def _build(folder: Path, policy: PolicyFiles, settings: VLLMSettings) -> Any:
    """Return vLLM's ``LLM`` with the policy's files, settings and banned tokens, and with random weights."""
    llm = _patched_llm(is_eager=settings.eager, is_spread=settings.tensor_parallel_size > 1)
    on_cpu = not torch.cuda.is_available()
    cache = settings.cache_megabytes or (_CPU_CACHE_MEGABYTES if on_cpu else None)
    return llm(
        str(folder),
        load_format="dummy",
        dtype=policy.dtype if settings.dtype == "auto" else settings.dtype,
        max_model_len=min(settings.max_model_len, policy.max_positions),
        max_num_seqs=settings.max_rows,
        enforce_eager=settings.eager,
        model_impl=settings.model_impl,
        tensor_parallel_size=settings.tensor_parallel_size,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        kv_cache_memory_bytes=cache * 2**20 if cache else None,
        # With the CPU's usual blocks of 128 the cache of a shorter prompt would never be shared within its group.
        block_size=32 if on_cpu else None,
        # A prompt read in two parts makes it turn a seeded generator back, which CPU generators cannot do.
        enable_chunked_prefill=False if on_cpu else None,
        max_num_batched_tokens=max(8192, settings.max_model_len) if on_cpu else None,
        limit_mm_per_prompt={"image": settings.max_images},
        # Log-probabilities as sampled: after banning and temperature.
        logprobs_mode="processed_logprobs",
        logits_processors=[f"{__name__}:BannedTokens"],
        additional_config={_BANNED: policy.banned_token_ids},
        # vLLM's own defaults of sampling, not those of the model's generation config.
        generation_config="vllm",
        disable_log_stats=True,
        seed=0,
        **_lora_args(policy.lora_rank),
        **settings.engine_args,
    )


def _patched_llm(*, is_eager: bool, is_spread: bool) -> Any:
    """Import vLLM and return its ``LLM``, without what would harm the learner."""
    # Before the import, because vLLM sets up its logging while it is imported.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if is_spread else "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
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
    # At every update it warns of all weights that did not come; only those that learn are meant to come.
    logging.getLogger("vllm.model_executor.model_loader.reload").setLevel(logging.ERROR)
    if is_eager:
        # It rewrites Hugging Face classes for compilation, and the learner uses the same classes.
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
    """Undo what vLLM built on the default process group, and the group itself only if vLLM made it."""
    from vllm.distributed import parallel_state

    # A trainer that ended before has destroyed the group with everything built on it.
    if dist.is_initialized():
        parallel_state.destroy_model_parallel()
        if parallel_state._WORLD is not None:
            parallel_state._WORLD.destroy()
            parallel_state._WORLD = None
        if is_ours:
            dist.destroy_process_group()


def __getattr__(name: str) -> Any:
    """Make ``BannedTokens`` when vLLM imports it by name, in whichever process: its base class is vLLM's own."""
    if name != "BannedTokens":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vllm.v1.sample.logits_processor import LogitsProcessor

    class BannedTokens(LogitsProcessor):
        """Sets tokens that no completion may hold to minus infinity, as the learner does."""

        def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
            self._ids = torch.tensor(vllm_config.additional_config[_BANNED], dtype=torch.long, device=device)

        def apply(self, logits: Tensor) -> Tensor:
            return logits.index_fill_(-1, self._ids, float("-inf"))

        def is_argmax_invariant(self) -> bool:
            # A banned token may be the likeliest, so greedy requests need this processor too.
            return False

        def update_state(self, batch_update: Any) -> None:
            """Do nothing: the same tokens are banned for every request."""

    return BannedTokens


def _leave_class(self: Any, *args: Any, **kwargs: Any) -> None:
    del self, args, kwargs


def _prompt(request: SampleRequest) -> dict[str, Any]:
    prompt: dict[str, Any] = {"prompt_token_ids": request.prompt_ids}
    return prompt | {"multi_modal_data": {"image": request.images}} if request.images else prompt


def _params(request: SampleRequest) -> Any:
    from vllm import SamplingParams  # pyright: ignore[reportAttributeAccessIssue]

    return SamplingParams(
        n=request.sampling.group_size,
        max_tokens=request.sampling.max_new_tokens,
        temperature=request.sampling.temperature,
        seed=request.seed,
        stop_token_ids=request.stop_token_ids,
        logprobs=0,  # of the sampled token only
        flat_logprobs=True,
        detokenize=False,
    )


def _group(output: Any) -> SampledGroup:
    return SampledGroup(
        prompt_token_ids=list(output.prompt_token_ids),
        token_ids=[list(completion.token_ids) for completion in output.outputs],
        logps=[list(completion.logprobs.logprobs) for completion in output.outputs],
    )
