"""A policy written in Hugging Face format, whether its weights are whole or sharded."""

from torch import Tensor

from models.lora import lora_apart
from models.policy import Policy
from models.sharding import is_sharded
from models.weight_stream import stream_weights, tied_names


def save_pretrained(policy: Policy, folder: str, *, is_writer: bool = True) -> None:
    """Write weights, LoRA merged, config and processor.

    The writer holds the whole model in its main memory for that. Sharded weights are gathered tensor by tensor, in a
    collective call: all ranks must call this, and one of them writes.

    Args:
        policy: the policy.
        folder: where to write; ``callbacks.ExportPolicy`` gives a draft, so that a folder is never seen half written.
        is_writer: whether this rank writes.
    """
    if not (is_writer or is_sharded(policy)):
        return
    # Tied tensors must stay one tensor: transformers recognises the second by its address and leaves it out.
    tied = tied_names(policy.model)
    weights: dict[str, Tensor] = {}
    for name, tensor in stream_weights(policy.model):
        if is_writer:
            weights[name] = weights[tied[name]] if name in tied else tensor.cpu()
    if is_writer:
        # The class without LoRA layers has the tensor names that the stream yields.
        with lora_apart(policy.model):
            policy.model.save_pretrained(folder, state_dict=weights)
        policy.processor.save_pretrained(folder)
