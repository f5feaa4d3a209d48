"""What a policy from the network may contain: settings, tokenizer files and processor files, but never code.

The server writes the files to its disk and has transformers and vLLM read them. So names, kinds and contents are listed
here, and everything else is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from safetensors import SafetensorError, deserialize

from algorithms import ConfigError, DataError
from rollouts.vllm.guard.typed import check_values

ENGINE_ARGS: dict[str, Any] = {
    "async_scheduling": bool,
    "attention_backend": Literal["FLASH_ATTN", "FLASHINFER", "FLEX_ATTENTION", "TORCH_SDPA", "TRITON_ATTN"],
    "cpu_offload_gb": float,
    "disable_cascade_attn": bool,
    "disable_custom_all_reduce": bool,
    "distributed_executor_backend": Literal["mp", "ray", "uni"],
    "enable_expert_parallel": bool,
    "enable_prefix_caching": bool,
    "kv_cache_dtype": Literal["auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"],
    "mm_processor_cache_gb": float,
    "pipeline_parallel_size": int,
    "swap_space": float,
}
"""Arguments of ``vllm.LLM`` that a server takes from a run: speed and memory, and none that leads to code or files."""

_MAX_FILES = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TOKENIZER_FILES = {
    "added_tokens.json", "chat_template.json", "special_tokens_map.json", "tekken.json", "tokenizer.json", "vocab.json",
    "chat_template.jinja", "merges.txt", "vocab.txt",
    "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
}  # fmt: skip
# These have an allowed type, but they name another model, which would be downloaded.
_REFUSED_CONFIGS = {"adapter_config.json"}
# Keys by which transformers and vLLM find code outside of their own packages.
_CODE_KEYS = {"auto_map", "code_revision", "custom_generate", "custom_pipelines", "kernel_config", "trust_remote_code"}
# The values are built-in names; any other value is a repository with kernels, which is code.
_IMPLEMENTATION_KEYS = ("attn_implementation", "experts_implementation")


def check_engine_args(args: Mapping[str, Any]) -> None:
    """Refuse arguments of vLLM that a server does not take from a run.

    Raises:
        ConfigError: with the key as a user types it.
    """
    try:
        check_values("model.engine.settings.engine_args", args, ENGINE_ARGS)
    except DataError as error:
        raise ConfigError(
            f"{error} A vLLM server takes these only, because others can make it load code or files; "
            "rollouts.VLLMEngine takes any."
        ) from error


def check_files(files: Mapping[str, bytes]) -> None:
    """Refuse files that are no configs or tokenizer files, or that lead to code.

    Raises:
        DataError: with the file's name.
    """
    if len(files) > _MAX_FILES:
        raise DataError(f"a policy has at most {_MAX_FILES} files, got {len(files)}.")
    for name, content in files.items():
        if not _NAME.fullmatch(name) or ".." in name:
            raise DataError(f"a policy's files must have plain names in one folder, got {name[:200]!r}.")
        if not _is_listed(name):
            raise DataError(
                f"a policy's file must be a *config.json, a tokenizer file or *.safetensors, got {name!r}: "
                "no code and no pickles come over the network."
            )
        _check_content(name, content)


def _is_listed(name: str) -> bool:
    is_config = name.endswith("config.json") and name not in _REFUSED_CONFIGS
    return is_config or name in _TOKENIZER_FILES or name.endswith(".safetensors")


def _check_content(name: str, content: bytes) -> None:
    try:
        if name.endswith(".json"):
            fields = json.loads(content.decode())
            # Only in configs: in a vocabulary any word may be a key.
            if name.endswith("config.json"):
                _check_keys(name, fields)
        elif name.endswith(".safetensors"):
            deserialize(content)
        elif name.endswith(".model"):
            # The first field of a SentencePiece model; pickles and archives start with other bytes.
            if not content.startswith(b"\n"):
                raise ValueError("not a SentencePiece model")
        else:
            content.decode()
    except (ValueError, RecursionError, SafetensorError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the policy's file {name!r} is not what its name says: {error}.") from error


def _check_keys(name: str, config: Any) -> None:
    for key, value in _entries(config):
        is_code = key.lstrip("_") in _CODE_KEYS and bool(value)
        is_repository = key.endswith(_IMPLEMENTATION_KEYS) and bool(re.search(r"[/:@]", json.dumps(value)))
        if is_code or is_repository:
            raise DataError(f"the policy's file {name!r} names code by {key!r}, and no code is run for a policy.")


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield keys and values at any depth."""
    if isinstance(config, dict):
        yield from config.items()
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _entries(value)
