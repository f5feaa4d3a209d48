"""What stands between the language-model head and the logits: a bias, a scale, a soft cap.

    logits = cap * tanh(scale * (W h + b) / cap)        Gemma 2: cap; Cohere: scale; Granite: 1 / scale; Phi: b

The learner applies the head to a few tokens at a time (``algorithms.logprobs``), so it must know all of this. What it
knows is compared with the model's own logits when a policy is made, and a model with anything more is refused.

transformers' vision-language classes have a bare matrix, whatever their language model had: there a ``ShapedHead``
takes its place, so that a joined model says what the language model would.

Shapes: V vocabulary, H hidden size.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from algorithms import ConfigError, HeadShape, head_logits
from models.families import family_of
from models.families.language_model import LanguageModelOnly

# Logits of the probe are this large, so that caps of 15 and more are noticed.
_PROBE_LOGIT = 50.0


class ShapedHead(nn.Linear):
    """A head with its scale and soft cap; its weights have the names of a bare one."""

    shape = HeadShape()

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (..., V) for hidden states (..., H)."""
        return head_logits(super().forward(input), self.shape)


def head_shape(config: PretrainedConfig) -> HeadShape:
    """Return what a language model's config says of its head."""
    text = config.get_text_config()
    multiplier, divisor = getattr(text, "logit_scale", None), getattr(text, "logits_scaling", None)
    scale = (1.0 if multiplier is None else multiplier) / (divisor or 1.0)
    return HeadShape(scale, getattr(text, "final_logit_softcapping", None))


def complete_head(model: PreTrainedModel) -> HeadShape:
    """Return the shape of a model's head, and see that the model's own logits have it.

    Raises:
        ConfigError: when the model's logits differ from those that bias, scale and soft cap give.
    """
    shape = head_shape(model.config)
    head: Any = model.get_output_embeddings()
    if shape != HeadShape() and not isinstance(family_of(model), LanguageModelOnly):
        _replace(model, head.weight, head.bias, shape)
    _check(model, shape)
    return shape


def set_head_bias(model: PreTrainedModel, bias: Float[Tensor, " V"] | None = None) -> None:
    """Give a model's head the bias that its language model had, and note that in the config, which exports keep.

    Args:
        model: of a class whose head has no bias.
        bias: None: one that is still to be read, beside the weights.
    """
    head: Any = model.get_output_embeddings()
    if bias is None:
        bias = torch.empty(head.weight.shape[0], dtype=head.weight.dtype, device=head.weight.device)
    _replace(model, head.weight, nn.Parameter(bias.detach().to(head.weight)), head_shape(model.config))
    model.config.lm_head_bias = True


def has_head_bias(config: PretrainedConfig) -> bool:
    """Return whether ``set_head_bias`` was called for the model that was saved with this config."""
    return bool(getattr(config, "lm_head_bias", False))


def _replace(model: PreTrainedModel, weight: nn.Parameter, bias: nn.Parameter | None, shape: HeadShape) -> None:
    with torch.device("meta"):
        head = ShapedHead(weight.shape[1], weight.shape[0], bias=bias is not None)
    # The same parameters, so that what is tied stays tied and what is sharded stays sharded.
    head.weight, head.bias, head.shape = weight, bias, shape  # pyright: ignore[reportAttributeAccessIssue]
    model.set_output_embeddings(head)


class _Read(dict[int, Any]):
    """What a model returns to its head, of any class: the hidden states, and None for everything else."""

    def __getattr__(self, name: str) -> Any:
        return self[0] if name == "last_hidden_state" else None


@torch.no_grad()
def _check(model: PreTrainedModel, shape: HeadShape) -> None:
    head: Any = model.get_output_embeddings()
    if head.weight.is_meta:  # sharded: its weights are not there yet
        return
    hidden = torch.linspace(-1.0, 1.0, head.weight.shape[1]).to(head.weight)[None, None]  # (1, 1, H)
    raw = nn.functional.linear(hidden, head.weight)
    hidden = hidden * (_PROBE_LOGIT / raw.abs().max().clamp_min(1e-6))
    ours = head_logits(nn.functional.linear(hidden, head.weight, head.bias), shape)
    base: Any = model.base_model
    # Nothing but the head runs.
    base.forward = lambda *args, **kwargs: _Read({0: hidden})
    try:
        theirs = model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=hidden.device)).logits
    finally:
        del base.forward
    if not torch.allclose(ours.float(), theirs.float(), rtol=1e-2, atol=1e-2 * _PROBE_LOGIT):
        raise ConfigError(
            f"model.policy is a {type(model).__name__}, whose logits are not those of its head: something is between "
            f"them besides a bias, logit_scale, logits_scaling and final_logit_softcapping ({shape}). Log-probs of "
            "the learner would differ from what is sampled."
        )
