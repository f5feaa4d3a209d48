"""How likely each drawn sample was to be drawn, for weights that cancel the preference of a prioritised draw.

Slots are drawn one by one without replacement, in proportion to their weights among those left. The probability that
slot i is among K of N drawn slots has no closed form. Given the order in which all *other* slots would have come, it
has one: slot i is missing exactly when it loses against each of the first K others in turn,

    p_i = 1 - product over j = 1..K of Q_j / (Q_j + w_i)        Q_j: weight of the others before the j-th of them

and the first K - 1 of those others are the other drawn slots. As for any conditional probability of being drawn, the
sum of f(i) / p_i over the drawn slots is on average the sum of f over all slots, for every f (the argument of Horvitz
and Thompson, 1952, given the others' order, as E. Cohen and H. Kaplan, 2007, give it the others' times). When all
slots are drawn p is 1, and for K = 1 it is w_i / sum of w.

Shapes: K drawn slots.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_MOST_ELEMENTS = 2**22  # of a matrix, 32 MB


def inclusion_probabilities(weights: Float[Tensor, " K"], *, weight_left: float | int) -> Float[Tensor, " K"]:
    """Return for each drawn slot the probability of being drawn, given the order of the others; in (0, 1].

    Args:
        weights: weights of the drawn slots in the order drawn, each above 0; at least one. The time grows with K^2, the
            memory is bounded.
        weight_left: sum of the weights of all slots that were not drawn; exactly 0 when every slot was drawn.
    """
    # (K + 1,): weight left before each draw and after the last one, summed from the end, because a difference from the
    # total would lose weights that are far smaller than the total.
    left = torch.cat([weights, weights.new_tensor([weight_left])]).flip(0).cumsum(0).flip(0)
    rows, size = torch.arange(len(weights)), max(1, _MOST_ELEMENTS // len(weights))
    return torch.cat([_of_rows(rows[i : i + size], weights, left) for i in range(0, len(rows), size)])


def _of_rows(rows: Tensor, weights: Float[Tensor, " K"], left: Float[Tensor, " L"]) -> Float[Tensor, " R"]:
    """Return the probabilities of some of the drawn slots, by their places in the order."""
    own = weights[rows, None]  # (R, 1)
    # Up to the slot's own place its j-th other is the j-th drawn slot, and the slot itself was still among those left.
    # After its own place its j-th other is drawn slot number j + 1.
    is_before = torch.arange(len(weights)) <= rows[:, None]  # (R, K)
    sign = torch.where(is_before, -1.0, 1.0).double()
    share = own / torch.where(is_before, left[:-1], left[1:])
    # Factors are (left - own) / left up to the place, left / (left + own) after it. Their logarithms are added: 1 -
    # product would lose the digits of a small probability; the argument is at least -1, because own is a part of left
    # (but for rounding).
    loses = -sign * torch.log1p((sign * share).clamp_min(-1.0))
    return -torch.expm1(loses.sum(dim=1))
