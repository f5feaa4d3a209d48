"""What a model itself says of each completion, read alone behind its prompt, nothing of this project's in between."""

from collections.abc import Sequence
from typing import Any

import torch

from algorithms import Prompt
from models import LoRAConfig, Policy, add_lora
from models.parts import PARTS
from models.reading.prompt_encoder import right_pad


def per_sample_logps(
    policy: Policy,
    prompts: Sequence[Prompt],
    rows: torch.Tensor,
    ids: torch.Tensor,
    is_completion: torch.Tensor,
    temperature: float,
    model: Any = None,
) -> torch.Tensor:
    """Return log-probs (B, T), by the policy's own model or another one; each row has its pictures read again."""
    logps = []
    for row, prompt in enumerate(rows.tolist()):
        inputs, completion = plain_inputs(policy, prompts[prompt]), ids[row, is_completion[row]]
        for key, more in (("input_ids", completion), ("attention_mask", torch.ones_like(completion))):
            inputs[key] = torch.cat([inputs[key], more[None]], dim=1)
        if "mm_token_type_ids" in inputs:
            kinds = inputs["mm_token_type_ids"]
            inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(completion)[None]], dim=1)
        logits = (model or policy.model)(**inputs, use_cache=False).logits[0, -len(completion) - 1 : -1].float()
        logits = logits.index_fill(1, policy.banned_token_ids, -torch.inf)
        logps.append((logits / temperature).log_softmax(-1).gather(1, completion[:, None])[:, 0])
    return right_pad(logps, 0)[0]


def plain_inputs(policy: Policy, prompt: Prompt) -> dict[str, Any]:
    """Return what the processor makes of one prompt."""
    text, images = policy.encoder.chat_text(prompt), [image.load() for image in prompt.images]
    # A tokenizer alone takes no images.
    return dict(policy.processor(text=[text], return_tensors="pt", **({"images": images} if images else {})))


def learn_by_lora(policy: Policy) -> None:
    """Let adapters on all parts learn, and nothing else."""
    policy.requires_grad_(False)
    add_lora(policy.model, LoRAConfig(parts=PARTS, rank=2, alpha=4))
    # One factor starts at zero, and the other would have no gradient.
    for name, parameter in policy.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3) if "lora_B" in name else None


def gradients(policy: torch.nn.Module, logps: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradient, by name, of a sum in which every row and every token weighs differently."""
    rows, tokens = (torch.linspace(-1.0, 1.5, n) for n in logps.shape)
    policy.zero_grad()
    (logps * rows[:, None] * (2.0 + tokens)).sum().backward()
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    """Compare gradients; the tolerance is relative to each tensor's largest number."""
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(ours[name], gradient, rtol=0.0, atol=tolerance * max(scale, 1.0), msg=name)
