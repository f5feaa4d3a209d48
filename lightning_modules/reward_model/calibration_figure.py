"""The figure of a reward model's calibration. Shapes: N pairs of a validation."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from algorithms import expected_calibration_error, pair_accuracy, reliability_curve


def calibration_figure(margins: Tensor) -> Figure:
    """Return the reliability curve and the histogram of margins (N,)."""
    curve = reliability_curve(margins)
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0.5, 1.0], [0.5, 1.0], color="gray", linestyle="--", label="calibrated")
    # Bins without pairs have neither confidence nor accuracy.
    filled = curve.num_pairs > 0
    # The area of a point shows its number of pairs: the accuracy of three pairs is mostly chance.
    areas = 20.0 + 180.0 * curve.num_pairs[filled] / curve.num_pairs.max()
    left.plot(curve.confidence[filled], curve.accuracy[filled], color="tab:blue", label="this model")
    left.scatter(curve.confidence[filled], curve.accuracy[filled], s=areas, color="tab:blue", alpha=0.5)
    error = expected_calibration_error(curve).item()
    left.set(xlabel="confidence, sigmoid(|margin|)", ylabel="share in the right order", ylim=(-0.05, 1.05))
    left.set_title(f"calibration error {error:.3f}")
    left.legend(loc="lower right")
    right.hist(margins.numpy(), bins=30, color="tab:blue")
    right.axvline(0.0, color="gray", linestyle="--")
    accuracy = pair_accuracy(margins, torch.zeros_like(margins)).item()
    right.set(xlabel="margin, chosen minus rejected score", ylabel="pairs")
    right.set_title(f"{len(margins)} held-out pairs, {accuracy:.1%} in the right order")
    return figure


def rendered(figure: Figure) -> np.ndarray:
    """Return a figure's pixels (height, width, 4), without a display and without pyplot's global state."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
