"""A policy inside vLLM 0.32: it is built empty, gets weights again and again, and samples.

Tested with exactly this version. Changes that vLLM makes to the process are undone here, or prevented in ``patches``.
"""

# pyright: reportMissingImports=false, reportPrivateImportUsage=false
# vLLM is an extra.

import gc
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from algorithms import ConfigError
from rollouts.vllm.patches import patched_llm, quiet_updates
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.process_state import restored_process_state, restored_random_states
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import NO_GPU, TRANSFER_STEPS, VLLMSettings
from rollouts.vllm.weights.lora_adapter import room_for, set_aside, write_adapter

_BANNED = "banned_token_ids"
_CPU_CACHE_MEGABYTES = 256
# Most tokens of one step, without LoRA and with it: on CPUs vLLM copies both matrices of an update for every token.
_CPU_STEP_TOKENS, _CPU_STEP_TOKENS_BESIDE_LORA = 8192, 1024


class VLLMModel:
    """One policy in vLLM, in this process."""

    def __init__(self, policy: PolicyFiles, settings: VLLMSettings) -> None:
        """Build the model without weights; ``load`` must come before ``generate``.

        Raises:
            ConfigError: when vLLM is not installed, or weights would come over NCCL to a machine without a GPU.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="vllm-policy-"))
        # On several GPUs vLLM runs in worker processes, otherwise in this process.
        self._is_spread = settings.tensor_parallel_size > 1
        self._adapter: Any = None
        for name, content in policy.files.items():
            (self._folder / name).write_bytes(content)
        with restored_process_state():
            self._llm = _build(self._folder, policy, settings)
        quiet_updates()

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Replace these tensors, named as in a Hugging Face ``state_dict``, one at a time; other tensors keep their
        values.

        LoRA updates that come apart from their weights replace all earlier ones.
        """
        updates: dict[str, Tensor] = {}
        with restored_random_states():
            others = set_aside(iter(weights), updates)
            # When only LoRA learns, the update holds no other tensor, and there is nothing to reload.
            if (first := next(others, None)) is not None:
                self._reload(chain([first], others))
            if updates:
                self._take_adapter(updates)
        self._clear_caches()

    def generate(self, requests: Sequence[SampleRequest]) -> list[SampledGroup]:
        """Return the completions of every request, in order; after a failure vLLM's queue is empty again."""
        prompts: list[Any] = [_prompt(request) for request in requests]
        params = [_params(request) for request in requests]
        try:
            with restored_random_states():
                outputs = self._llm.generate(prompts, params, use_tqdm=False, lora_request=self._adapter)
        except BaseException:
            self._empty_queue()
            raise
        return [_group(output) for output in outputs]

    def transfer(self, step: str, arguments: dict[str, Any]) -> None:
        """Take a step of vLLM's weight transfer, in the order of ``TRANSFER_STEPS``; the last one completes the update.

        Args:
            step: vLLM's name of the step.
            arguments: what vLLM's trainer sent with it.
        """
        with restored_random_states():
            self._llm.collective_rpc(step, kwargs=arguments)
        if step == TRANSFER_STEPS[-1]:
            self._clear_caches()

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
            # ``load_weights`` does not serve: the CPU backend packs linear weights into a form that it cannot reach.
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
            return
        # Tensors go through shared memory, because vLLM's workers are processes of their own.
        with _shared_folder() as folder:
            for number, (name, tensor) in enumerate(weights):
                save_file({name: tensor.contiguous().cpu()}, Path(folder) / f"{number:06d}.safetensors")
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": folder})

    def _take_adapter(self, updates: dict[str, Tensor]) -> None:
        from vllm.lora.request import LoRARequest

        old = self._adapter
        # Number and name are new for each update: vLLM stores adapters and cache entries under them.
        number = 1 if old is None else old.lora_int_id + 1
        engine: Any = self._llm.llm_engine
        with _shared_folder() as folder:
            write_adapter(Path(folder), updates)
            self._adapter = LoRARequest(lora_name=f"policy-{number}", lora_int_id=number, lora_path=folder)
            if old is not None:
                engine.remove_lora(old.lora_int_id)
            # vLLM reads the adapter now, so that the files can be removed.
            engine.add_lora(self._adapter)
        if not self._is_spread:
            self._llm.collective_rpc(_check_all_served)

    def _clear_caches(self) -> None:
        """Drop keys, values and image features that were computed with old weights."""
        self._llm.reset_prefix_cache()
        # Without this call an image that vLLM has seen before would keep the features of the old weights.
        self._llm.llm_engine.reset_encoder_cache()

    def _empty_queue(self) -> None:
        engine: Any = self._llm.llm_engine
        engine.abort_request(list(engine.output_processor.request_states), internal=True)
        self._clear_caches()


def _shared_folder() -> "tempfile.TemporaryDirectory[str]":
    # None: the usual folder for temporary files.
    return tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def _check_all_served(worker: Any) -> None:
    """Raise an error for a LoRA update that vLLM accepted but silently applies nowhere."""
    manager = worker.model_runner.lora_manager._adapter_manager
    for adapter in manager.list_adapters().values():
        if unserved := sorted(set(adapter.loras) - set(manager.modules)):
            raise ConfigError(
                f"model.engine.settings.lora must be merged for this model, got adapter: vLLM would leave out the "
                f"updates of {', '.join(unserved[:3])} and {max(0, len(unserved) - 3)} other layers."
            )


def _transfer_args(settings: VLLMSettings) -> dict[str, Any]:
    if settings.weight_transfer == "http":
        return {}
    if settings.weight_transfer == "nccl" and not torch.cuda.is_available():
        raise ConfigError(NO_GPU.format(where="the server's machine"))
    if settings.weight_transfer == "gloo":
        from rollouts.vllm.weights.gloo_backend import register

        register()
    return {"weight_transfer_config": {"backend": settings.weight_transfer}}


def _lora_args(rank: int) -> dict[str, Any]:
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": room_for(rank)} if rank else {}


def _build(folder: Path, policy: PolicyFiles, settings: VLLMSettings) -> Any:
    """Return vLLM's ``LLM`` with the policy's files, settings and banned tokens, and with random weights."""
    llm = patched_llm(is_eager=settings.eager, is_spread=settings.tensor_parallel_size > 1)
    on_cpu = not torch.cuda.is_available()
    step_tokens = _CPU_STEP_TOKENS_BESIDE_LORA if policy.lora_rank else _CPU_STEP_TOKENS
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
        # The CPU's default is blocks of 128 tokens: the cache of a shorter prompt would never be shared in its group.
        block_size=32 if on_cpu else None,
        # When vLLM reads a prompt in two parts it resets a seeded generator, which CPU generators cannot do.
        enable_chunked_prefill=False if on_cpu else None,
        max_num_batched_tokens=max(step_tokens, settings.max_model_len) if on_cpu else None,
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
        **_transfer_args(settings),
        **settings.engine_args,
    )


def __getattr__(name: str) -> Any:
    """Define ``BannedTokens`` when vLLM imports it by name, in any process: its base class comes from vLLM."""
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
