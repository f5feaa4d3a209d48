"""Input embeddings of words: targets that an adapter can learn to produce."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from models.policy import Policy


def word_embeddings(policy: "Policy", texts: Sequence[str]) -> Float[Tensor, "N H"]:
    """Return for each text the mean of the input embeddings of its tokens, in 32 bits and without gradient.

    Args:
        policy: policy whose language model embeds the words.
        texts: words as they stand within a sentence, with a space before them.
    """
    table: Any = policy.model.get_input_embeddings()
    weight: Tensor = table.weight.detach()
    tokens = [policy.encoder.tokenizer(f" {text}", add_special_tokens=False).input_ids for text in texts]
    return torch.stack([weight[ids].float().mean(0) for ids in tokens])
