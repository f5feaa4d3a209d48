"""A plain forward and backward of the Hugging Face model, with a copy of the prompt in every row."""

from collections.abc import Sequence
from typing import Any

import torch

from algorithms import Prompt
from experiments.speed.clock import now
from experiments.speed.endless import EndlessPolicy
from models.reading.prompt_encoder import left_pad


def bare_update(policy: str, prompts: Sequence[Prompt], options: Any) -> float:
    """Return seconds for the tokens of one step, in the fastest of several micro-batch sizes.

    Args:
        policy: its folder.
        prompts: of the step.
        options: of ``experiments.speed.grpo``.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = EndlessPolicy(policy).build().to(device)
    if options.recompute:
        loaded.recompute_activations()
    loaded.train()
    loaded.model.model.vision_tower.requires_grad_(False)
    pixels = torch.cat([loaded.encoder.encode(prompt).vision["pixel_values"] for prompt in prompts])
    ids, is_prompt = left_pad([loaded.encoder.encode(prompt).token_ids for prompt in prompts], loaded.pad_token_id)
    completion = torch.full((options.completions, options.tokens), ids[0, -1].item())  # any text takes the same time
    rows = torch.arange(len(prompts)).repeat_interleave(options.group_size)
    inputs = {
        "input_ids": torch.cat([ids[rows], completion], dim=1),
        "attention_mask": torch.cat([is_prompt[rows], torch.ones_like(completion, dtype=torch.bool)], dim=1).long(),
        "pixel_values": pixels[rows],
    }
    inputs, completion = {name: tensor.to(device) for name, tensor in inputs.items()}, completion.to(device)
    sizes = options.trl_micro_batches
    with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16-mixed"):
        return min(_update(loaded.model, inputs, completion, size) for size in sizes for _ in range(options.bare))


def _update(model: Any, inputs: dict[str, torch.Tensor], completion: torch.Tensor, micro_batch: int) -> float:
    """Return seconds of the cross-entropy of the completions and its gradient, in micro-batches."""
    model.zero_grad()
    started = now()
    for start in range(0, len(completion), micro_batch):
        part = slice(start, start + micro_batch)
        rows = {name: tensor[part] for name, tensor in inputs.items()}
        logits = model(**rows, use_cache=False, logits_to_keep=completion.shape[1] + 1).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), completion[part].flatten()).backward()
    return now() - started
