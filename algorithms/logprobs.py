"""Log-probabilities and entropies of tokens, always in 32-bit floats.

Shapes: B rows, T tokens, V vocabulary.
"""

from jaxtyping import Float, Int
from torch import Tensor


def token_logps(logits: Float[Tensor, "B T V"], token_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return log p(token) in nats at every position.

    ``logits`` must already be shaped as they were for sampling: divided by the temperature, banned
    tokens at minus infinity. Otherwise the importance ratio of a fresh sample is not 1.
    """
    return logits.float().log_softmax(dim=-1).gather(-1, token_ids[..., None]).squeeze(-1)


def token_entropies(logits: Float[Tensor, "B T V"]) -> Float[Tensor, "B T"]:
    """Return the entropy in nats of each next-token distribution; tokens at minus infinity count zero."""
    logps = logits.float().log_softmax(dim=-1)
    # exp(-inf) * -inf is NaN: a banned token has probability 0 and must add nothing.
    return -(logps.exp() * logps.clamp_min(-1e4)).sum(dim=-1)
