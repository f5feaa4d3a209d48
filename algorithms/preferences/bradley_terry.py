"""Scores learned from pairs, and how reliable their margins are (Skywork-VL-Reward, arXiv:2505.07263).

    P(chosen better) = sigmoid(s+ - s-)                              Bradley and Terry, 1952
    loss             = mean over pairs of -log sigmoid(s+ - s-)      arXiv:2505.07263

Only differences of scores of the same prompt are identified: adding a constant to all of them changes nothing.

In every pair the chosen completion comes first, so a plot of "P against how often the first is better" would be a
flat line at 1. Calibration therefore treats each pair as a prediction: the completion with the higher score is the
better one, with confidence sigmoid(|s+ - s-|), and this prediction is right or wrong. Guo et al., arXiv:1706.04599,
with two classes.

Shapes: B pairs, K bins.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid


class ReliabilityCurve(NamedTuple):
    """Bins of pairs by confidence, from an even guess (0.5) to certainty (1)."""

    confidence: Float[Tensor, " K"]
    """Mean probability of the predictions; NaN in a bin without pairs."""

    accuracy: Float[Tensor, " K"]
    """Share of predictions that are right, a tie of scores being half right; NaN in a bin without pairs."""

    num_pairs: Float[Tensor, " K"]
    """Pairs in the bin, a float so that it can divide."""


def bradley_terry_loss(chosen_scores: Float[Tensor, " B"], rejected_scores: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the preferences in nats per pair: ln 2 where scores are equal.

    Args:
        chosen_scores: s+, the score of each better completion.
        rejected_scores: s-, the score of the other one.
    """
    # logsigmoid and not log(sigmoid()): the sigmoid of a large negative margin is 0 and its logarithm -inf.
    return -logsigmoid(chosen_scores - rejected_scores).mean()


def pair_accuracy(chosen_scores: Float[Tensor, " B"], rejected_scores: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """Return the share of pairs in the right order; a tie of scores is wrong, or a constant would be half right."""
    return (chosen_scores > rejected_scores).float().mean()


def reliability_curve(margins: Float[Tensor, " B"], *, num_bins: int = 10) -> ReliabilityCurve:
    """Return confidence against accuracy in bins of equal width between 0.5 and 1.

    Args:
        margins: s+ - s- of each pair, finite.
        num_bins: K.
    """
    confidence = margins.abs().sigmoid()
    # A tie is an even guess: half right, which agrees with its confidence of 0.5.
    is_right = 0.5 * (margins.sign() + 1.0)
    # (B,); a confidence of exactly 1 belongs to the last bin.
    bins = ((confidence - 0.5) * 2 * num_bins).long().clamp_max(num_bins - 1)

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(num_bins).index_add(0, bins, values)

    num_pairs = total(torch.ones_like(margins))
    return ReliabilityCurve(total(confidence) / num_pairs, total(is_right) / num_pairs, num_pairs)


def expected_calibration_error(curve: ReliabilityCurve) -> Float[Tensor, ""]:
    """Return the mean distance between confidence and accuracy, each pair with the same weight; NaN without pairs."""
    # Bins without pairs are NaN and have weight 0, but NaN * 0 is NaN.
    gaps = (curve.confidence - curve.accuracy).abs().nan_to_num(0.0)
    return (gaps * curve.num_pairs).sum() / curve.num_pairs.sum()
