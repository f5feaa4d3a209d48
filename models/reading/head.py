"""What stands between the language-model head and the logits: a bias, a scale, a soft cap.

    logits = cap * tanh(scale * (W h + b) / cap)        Gemma 2: cap; Cohere: scale; Granite: 1 / scale; Phi: b

The learner applies the head to a few tokens at a time (``algorithms.logprobs``), so it must know these four numbers.
When a policy is made, logits from these numbers are compared with the model's own logits; a model whose logits differ
is refused.

transformers' vision-language classes have a plain matrix, whatever head their language model had. A ``ShapedHead``
replaces it, so that a joined model has the logits of the language model.

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

# The logits of the comparison are this large, so that a soft cap of 15 or more changes them noticeably.
_PROBE_LOGIT = 50.0


class ShapedHead(nn.Linear):
    """A head with scale and soft cap; its weights have the names of a linear layer's."""

    shape = HeadShape()

    def forward(self, input: Tensor) -> Tensor:
        """Return logits (..., V) for hidden states (..., H)."""
        return head_logits(super().forward(input), self.shape)


def head_shape(config: PretrainedConfig) -> HeadShape:
    """Return the scale and the soft cap in a language model's config."""
    text = config.get_text_config()
    multiplier, divisor = getattr(text, "logit_scale", None), getattr(text, "logits_scaling", None)
    scale = (1.0 if multiplier is None else multiplier) / (divisor or 1.0)
    return HeadShape(scale, getattr(text, "final_logit_softcapping", None))


def complete_head(model: PreTrainedModel) -> HeadShape:
    """Return the shape of a model's head, after comparing it with the model's own logits.

    Raises:
        ConfigError: when the model's logits differ from logits computed with this bias, scale and soft cap.
    """
    shape = head_shape(model.config)
    head: Any = model.get_output_embeddings()
    if shape != HeadShape() and not isinstance(family_of(model), LanguageModelOnly):
        _replace(model, head.weight, head.bias, shape)
    _check(model, shape)
    return shape


def set_head_bias(model: PreTrainedModel, bias: Float[Tensor, " V"] | None = None) -> None:
    """Give a model's head the bias of its language model, and record this in the config, which exports keep.

    Args:
        model: model of a class whose head has no bias.
        bias: the bias; None: the bias will be read together with the weights.
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
    # The same parameter objects, so that tied weights stay tied and sharded weights stay sharded.
    head.weight, head.bias, head.shape = weight, bias, shape  # pyright: ignore[reportAttributeAccessIssue]
    model.set_output_embeddings(head)


class _Read(dict[int, Any]):
    """The output of any model's base class: the hidden states, and None for every other attribute."""

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
    # Only the head runs.
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
