"""Makes a policy's language model call this project's attention, through the interfaces of transformers.

The model makes its masks and calls its attention by the name in its config. Here that name stands for two kinds of
attention: packed rows get tree attention, all other rows get the attention that the user chose
(``attn_implementation``).

    with packed(layout): model(row)      mask -> ``TreeMask`` -> passed through the layers -> ``tree_attention``
    model(rows)                          mask -> ...          -> that of ``sdpa``, ``eager``, a kernel

The tree is an argument of every layer, so that a layer that is computed again in backward finds it too.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from algorithms import ConfigError
from models.reading.attention.layout import Layout
from models.reading.attention.shared_keys import shared_key_attention
from models.reading.attention.tree import TreeMask, tree_attention

_PREFIX = "packed_"
_LAYOUT: ContextVar[Layout | None] = ContextVar("layout", default=None)


def set_attention(model: PreTrainedModel) -> None:
    """Let the language model of a policy read packed rows; other rows keep the attention that the user chose.

    Raises:
        ConfigError: for a class of models with attention code of its own, which cannot be replaced.
    """
    decoder: Any = model.get_decoder()
    chosen: str = decoder.config._attn_implementation or "eager"
    if chosen.startswith(_PREFIX):
        return
    # Kernels of the hub have names such as "owner/kernel"; a slash would make transformers load one.
    name = _PREFIX + chosen.replace("/", "_")
    if chosen in ALL_MASK_ATTENTION_FUNCTIONS:
        AttentionInterface.register(name, _attention(chosen))
        AttentionMaskInterface.register(name, _mask(ALL_MASK_ATTENTION_FUNCTIONS[chosen]))
        decoder.set_attn_implementation(name)
    # transformers only warns, and ignores the setting, for classes with attention code of their own.
    if decoder.config._attn_implementation != name:
        raise ConfigError(
            f"model.policy has a language model of class {type(decoder).__name__} with attention {chosen!r}, which "
            "transformers cannot replace: the completions of a prompt could not share it here. Take another model, or "
            "attn_implementation sdpa."
        )


@contextmanager
def packed(layout: Layout, num_layers: int) -> Iterator[None]:
    """Use this layout for the row that is read until the context ends.

    Args:
        layout: layout of the row.
        num_layers: number of the language model's layers.

    Raises:
        ConfigError: when a layer did not use tree attention: it would have mixed up the texts of the row.
    """
    token = _LAYOUT.set(layout)
    try:
        yield
    finally:
        _LAYOUT.reset(token)
    if len(layout.readers) < num_layers:
        raise ConfigError(
            f"model.policy has a language model of which {len(layout.readers)} of {num_layers} layers use the attention"
            " interface of transformers: the others would mix up the completions of a prompt."
        )


def _attention(chosen: str) -> Callable[..., Any]:
    """Return attention that reads packed rows as trees, and all other rows with the chosen attention."""

    def attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **kwargs: Any) -> Any:
        if isinstance(attention_mask, TreeMask):
            return tree_attention(module, query, key, value, attention_mask, **kwargs)
        if chosen == "sdpa":
            return shared_key_attention(module, query, key, value, attention_mask, **kwargs)
        # transformers has no shared ``eager``: every modeling file defines its own.
        eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        plain: Any = ALL_ATTENTION_FUNCTIONS.get_interface(chosen, eager)
        return plain(module, query, key, value, attention_mask, **kwargs)

    return attention


def _mask(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that makes masks: a ``TreeMask`` for a packed row, else the mask of the chosen attention."""

    def mask(*args: Any, **kwargs: Any) -> Any:
        layout = _LAYOUT.get()
        if layout is None:
            return plain(*args, **kwargs)
        # False where the model adds something to a causal mask, by the index of a token in its row.
        if not kwargs.get("allow_is_causal_skip", True):
            raise ConfigError(
                "model.policy has a language model whose mask is more than causal: the completions of a prompt cannot "
                "share it here."
            )
        return TreeMask(layout, kwargs["mask_function"])

    return mask
