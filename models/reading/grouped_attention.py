"""Attention in which several query heads share one head of keys and values, without copying keys and values.

``transformers`` repeats keys and values for every query head when a mask is given. In decoding this copies the whole
cache for every token. A single new token needs no copy: its query heads become several queries of their shared head.
For more tokens torch's CPU kernel shares heads itself.

Shapes: B rows, H query heads, K key heads, Q queries, S keys, D width of a head.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_shared_keys"


def share_keys(model: PreTrainedModel) -> None:
    """Set this attention in the language model of a policy that has torch's; the eager one where scores are capped."""
    decoder: Any = model.get_decoder()
    # The user may have chosen another one with ``attn_implementation``.
    if decoder.config._attn_implementation != "sdpa":
        return
    # torch's attention drops the cap of Gemma 2 without a word, and a vLLM engine applies it.
    if getattr(decoder.config, "attn_logit_softcapping", None) is not None:
        decoder.set_attn_implementation("eager")
    else:
        decoder.set_attn_implementation(NAME)


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
    """Return attention (B, Q, H, D); arguments as ``transformers`` gives them, query (B, H, Q, D), key (B, K, S, D)."""
    # H / K, an attribute of every attention layer whose heads share keys.
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


AttentionInterface.register(NAME, shared_key_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
