"""Attention in which several query heads share one head of keys and values, without copying keys and values.

``transformers`` repeats keys and values for every query head when a mask is given. In decoding this copies the whole
cache for every token. A single new token needs no copy: its query heads become several queries of their shared head.
For more tokens torch's CPU kernel shares heads itself. In bfloat16 the backward of this kernel is slower than plain
matrix products that hold all B x H x Q x S scores. Packed rows are cut into rectangles that are small enough for this.

Shapes: B rows, H query heads, K key heads, Q queries, S keys, D width of a head.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward


def shared_key_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Return attention (B, Q, H, D); arguments as ``transformers`` gives them, query (B, H, Q, D), key (B, K, S, D).

    Args:
        module: the layer.
        query: queries of all heads.
        key: keys of the shared heads.
        value: values of the shared heads.
        attention_mask: True where a query sees a key; None: as ``transformers`` reads it.
        scaling: factor of the scores.
        dropout: dropout probability of the attention weights.
        kwargs: further arguments of ``transformers``. Torch's kernels lack two of them: ``softcap``, a bound of the
            scores (Gemma 2, arXiv:2408.00118), and ``s_aux``, (H,) scores of a key without value that every query sees
            (attention sinks, arXiv:2309.17453).
    """
    if (
        _is_slow_backward(query, value, attention_mask, kwargs)
        or kwargs.get("softcap") is not None
        or kwargs.get("s_aux") is not None
    ):
        settings = {"scaling": scaling, "dropout": dropout, **kwargs}
        return _written_out(module, query, key, value, attention_mask, settings), None
    # H / K; every attention layer whose heads share keys has this attribute.
    num_shared = getattr(module, "num_key_value_groups", 1)
    is_single = query.shape[2] == 1
    # A mask or bias per query head cannot be shared.
    is_plain = attention_mask is not None and attention_mask.shape[1] == 1 and kwargs.get("position_bias") is None
    if num_shared == 1 or not is_plain or not (is_single or query.device.type == "cpu"):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    attend = torch.nn.functional.scaled_dot_product_attention
    if is_single:
        rows, num_heads, _, width = query.shape
        side_by_side = query.reshape(rows, num_heads // num_shared, num_shared, width)  # (B, K, H / K, D)
        out = attend(side_by_side, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling)
        return out.reshape(rows, 1, num_heads, width), None  # (B, 1, H, D)
    out = attend(query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling, enable_gqa=True)
    return out.transpose(1, 2).contiguous(), None


def _is_slow_backward(query: Tensor, value: Tensor, mask: Tensor | None, settings: Mapping[str, Any]) -> bool:
    """Return whether torch's CPU kernel would be slow and ``_written_out`` can replace it."""
    is_learnt = query.device.type == "cpu" and value.dtype == torch.bfloat16 and query.requires_grad
    return is_learnt and (mask is None or mask.dtype == torch.bool) and settings.get("position_bias") is None


def _written_out(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: Mapping[str, Any]
) -> Tensor:
    """Return attention (B, Q, H, D) with bounded scores or sinks, the scores (B, H, Q, S) whole in memory."""
    num_shared = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, num_shared), repeat_kv(value, num_shared)
    scaling, softcap, sinks = settings["scaling"], settings.get("softcap"), settings.get("s_aux")
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is None:
        # transformers passes no mask for two cases: a single query, which sees all keys, and causal attention.
        queries, keys = (torch.arange(size, device=query.device) for size in scores.shape[2:])
        mask = (keys <= queries[:, None]) | (len(queries) == 1)
    # Finite as in transformers: a row of padding sees no key, and with -inf its softmax would be NaN.
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if sinks is not None:
        scores = torch.cat([scores, sinks.to(scores).view(1, -1, 1, 1).expand(*scores.shape[:3], 1)], dim=-1)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)[..., : key.shape[2]]
    weights = torch.nn.functional.dropout(weights, settings["dropout"])
    return (weights @ value).transpose(1, 2).contiguous()
