"""Log-probabilities and entropies of tokens, always in 32-bit floats, without holding a whole vocabulary of logits.

With V = 152,000 words the logits of 4,096 tokens take 2.3 GiB; their gradient and their softmax take as much each. So
the language-model head is applied to some tokens at a time, and again in backward. Gradients are exact.

Shapes: N tokens, H hidden size, V vocabulary.
"""

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Logits held at a time: 128 MiB of 32-bit floats.
_CHUNK_ELEMENTS = 2**25


class TokenScores(NamedTuple):
    """Log-probability and entropy at each token's position."""

    logps: Float[Tensor, " N"]
    """Log-probability in nats; carries the gradient."""

    entropies: Float[Tensor, " N"]
    """Entropy in nats of the distribution the token was drawn from; carries the gradient."""


class HeadShape(NamedTuple):
    """How a model changes the output of its language-model head before it becomes logits."""

    scale: float = 1.0
    """Factor of the head's output, as in Cohere; Granite divides by a number, which is 1 / scale."""

    soft_cap: float | None = None
    """Largest absolute value of a logit, as in Gemma 2 (arXiv:2408.00118, section 2); None: no cap."""


def shape_logits(logits: Tensor, banned_ids: Int[Tensor, " K"], temperature: float) -> Tensor:
    """Return the logits that tokens are drawn from: 32-bit, divided by the temperature, banned tokens at minus
    infinity.

    Engine and learner must do the same here, else the importance ratio of a fresh sample is not 1.
    """
    # Converted first: 16-bit logits would be divided and normalised with 8 or 11 significant bits.
    return (logits.float() / temperature).index_fill(-1, banned_ids.to(logits.device), float("-inf"))


def token_scores(
    hidden: Float[Tensor, "N H"],
    head_weight: Float[Tensor, "V H"],
    head_bias: Float[Tensor, " V"] | None,
    token_ids: Int[Tensor, " N"],
    *,
    banned_ids: Int[Tensor, " K"],
    temperature: float = 1.0,
    chunk_tokens: int | None = None,
    head_shape: HeadShape = HeadShape(),  # noqa: B008  (immutable)
) -> TokenScores:
    """Return log p(token) and the entropy at every position.

        logits = soft_cap * tanh(scale * (hidden @ head_weight.T + head_bias) / soft_cap)

    Args:
        hidden: last hidden states, at the positions that predict the tokens.
        head_weight: weight of the language-model head.
        head_bias: its bias, if it has one.
        token_ids: the tokens; a banned token would get the log-probability minus infinity.
        banned_ids: tokens that no completion may hold.
        temperature: divides the logits, as at sampling.
        chunk_tokens: tokens at a time; default as many as 128 MiB of logits hold.
        head_shape: scale and soft cap of the head.
    """
    chunk = chunk_tokens or max(1, _CHUNK_ELEMENTS // head_weight.shape[0])
    apply = cast(Any, _ChunkedHead).apply
    return TokenScores(*apply(hidden, head_weight, head_bias, token_ids, banned_ids, (temperature, head_shape, chunk)))


def head_logits(raw: Tensor, shape: HeadShape) -> Tensor:
    """Return logits from the output of a head's matrix and bias."""
    scaled = raw if shape.scale == 1.0 else raw * shape.scale
    return scaled if shape.soft_cap is None else (scaled / shape.soft_cap).tanh() * shape.soft_cap


class _ChunkedHead(torch.autograd.Function):
    """hidden (N, H) -> logits (N, V) -> log-softmax -> the token's entry (N,), chunk by chunk in both directions."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        token_ids: Tensor,
        banned_ids: Tensor,
        settings: tuple[float, HeadShape, int],
    ) -> tuple[Tensor, Tensor]:
        device = hidden.device.type
        # Backward runs outside autocast and must compute the same logits.
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        ctx.temperature, ctx.head_shape, ctx.chunk = settings
        logps, entropies, log_norms = (hidden.new_empty(len(hidden), dtype=torch.float) for _ in range(3))
        for part in _slices(len(hidden), ctx.chunk):
            logits = _shaped(ctx, _logits(ctx, hidden[part], weight, bias), banned_ids)  # (chunk, V)
            # Kept for backward, which then needs no second logsumexp.
            log_norms[part] = logits.logsumexp(-1)
            # In place: one chunk of logits is the largest tensor here.
            all_logps = logits.sub_(log_norms[part, None])
            logps[part] = all_logps.gather(-1, token_ids[part, None]).squeeze(-1)
            # A banned token has probability 0 and must add nothing: 0 * -inf is NaN.
            entropies[part] = -(all_logps.exp() * all_logps.clamp_min_(-1e30)).sum(-1)
        ctx.save_for_backward(hidden, weight, bias, token_ids, banned_ids, log_norms, entropies)
        # Entropies are mostly for logs: without a gradient for them half of backward is saved.
        ctx.set_materialize_grads(False)
        return logps, entropies

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        hidden, weight, bias, token_ids, banned_ids, log_norms, entropies = ctx.saved_tensors
        grad_logps: Tensor = torch.zeros_like(entropies) if grads[0] is None else grads[0]
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        grad_bias = torch.zeros_like(bias) if needs_bias else None
        for part in _slices(len(hidden), ctx.chunk):
            logits = _logits(ctx, hidden[part], weight, bias)  # (chunk, V)
            slope = _head_slope(ctx, logits)
            all_logps = _shaped(ctx, logits, banned_ids) - log_norms[part, None]
            del logits
            # d log p(token) / d logits = one-hot(token) - probs
            scale = (grad_logps[part] / ctx.temperature)[:, None]  # (chunk, 1)
            factor = -scale
            if grads[1] is not None:
                # d entropy / d logits = -probs (log probs + entropy)
                factor = (
                    factor - _entropy_slope(all_logps, entropies[part]) * (grads[1][part] / ctx.temperature)[:, None]
                )
            # probs * factor, plus scale at the token itself: (chunk, V) in one buffer.
            grad_logits = all_logps.exp_().mul_(factor).scatter_add_(-1, token_ids[part, None], scale)
            if slope is not None:
                grad_logits *= slope
            grad_logits = grad_logits.to(ctx.dtype)
            if grad_hidden is not None:
                grad_hidden[part] = (grad_logits @ weight.to(ctx.dtype)).to(hidden.dtype)
            if grad_weight is not None:
                grad_weight += (grad_logits.T @ hidden[part].to(ctx.dtype)).to(weight.dtype)
            if grad_bias is not None:
                grad_bias += grad_logits.sum(0).to(bias.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None


def _entropy_slope(all_logps: Tensor, entropies: Tensor) -> Tensor:
    """Return log probs + entropy (chunk, V), finite where the probability is 0."""
    return all_logps.clamp_min(-1e30) + entropies[:, None]


def _slices(num_tokens: int, chunk: int) -> list[slice]:
    return [slice(start, start + chunk) for start in range(0, num_tokens, chunk)]


def _logits(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the model's own logits (chunk, V)."""
    # Without autocast: ctx.dtype decides in both directions, in whatever context backward runs.
    with torch.autocast(hidden.device.type, enabled=False):
        raw = torch.nn.functional.linear(
            hidden.to(ctx.dtype), weight.to(ctx.dtype), None if bias is None else bias.to(ctx.dtype)
        )
    # In the same precision as the model, whose logits the engine samples from.
    return head_logits(raw, ctx.head_shape)


def _shaped(ctx: Any, logits: Tensor, banned_ids: Tensor) -> Tensor:
    return shape_logits(logits, banned_ids, ctx.temperature)


def _head_slope(ctx: Any, logits: Tensor) -> Tensor | float | None:
    """Return the derivative of logits (chunk, V) by the output of the head's matrix; None where both are the same."""
    scale, soft_cap = ctx.head_shape
    if soft_cap is not None:
        # d (c tanh(x / c)) / dx = 1 - tanh(x / c)^2
        return scale * (1.0 - (logits.float() / soft_cap) ** 2)
    return None if scale == 1.0 else scale
