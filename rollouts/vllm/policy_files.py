"""The files and numbers that vLLM needs to build a copy of a policy without weights."""

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rollouts.policy_view import SampledPolicy


class PolicyFiles(NamedTuple):
    """A policy without its weights, in plain data that can be sent to a server."""

    files: dict[str, bytes]
    """Config and processor, as ``save_pretrained`` writes them, by file name."""

    banned_token_ids: list[int]
    dtype: str
    """Precision of the weights, such as ``bfloat16``."""

    max_positions: int
    """Longest text that the language model was made for, in tokens."""

    lora_rank: int = 0
    """Largest rank of LoRA updates that are sent apart from their weights; 0: all updates are merged."""


def policy_files(policy: SampledPolicy, *, lora_rank: int = 0) -> PolicyFiles:
    """Return the files and numbers that describe a policy.

    Args:
        policy: the policy that vLLM will sample from.
        lora_rank: see ``PolicyFiles``.
    """
    model = policy.model
    config = copy.deepcopy(model.config)
    # vLLM chooses its model class by this name; a model without the name counts as one that generates no text. FSDP2
    # puts a class of its own in front of the model's class.
    config.architectures = [next(c.__name__ for c in type(model).__mro__ if not c.__name__.startswith("FSDP"))]
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        policy.processor.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    if all(type(part).__module__.startswith("transformers.") for part in (config, policy.processor)):
        files = {name: _without_auto_map(name, content) for name, content in files.items()}
    return PolicyFiles(
        files=files,
        banned_token_ids=policy.banned_token_ids.tolist(),
        dtype=str(model.dtype).removeprefix("torch."),
        # A vision-language model keeps the language model's config inside its own.
        max_positions=config.get_text_config().max_position_embeddings,
        lora_rank=lora_rank,
    )


def _without_auto_map(name: str, content: bytes) -> bytes:
    """Drop the entries that name a repository's own code: transformers' classes have replaced it."""
    if not name.endswith("config.json") or b'"auto_map"' not in content:
        return content
    return json.dumps(_pruned(json.loads(content)), indent=2).encode()


def _pruned(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _pruned(value) for key, value in config.items() if key != "auto_map"}
    return [_pruned(value) for value in config] if isinstance(config, list) else config
