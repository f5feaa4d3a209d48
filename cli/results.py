"""Prints the metrics of ``validate`` and ``test``: one line for each, with as many digits as a reader needs."""

from collections.abc import Mapping
from typing import Any


def results(metrics: Mapping[str, Any]) -> str:
    """Return the lines, in the order of the names.

    Args:
        metrics: name to value, a number or a tensor of one.

    >>> print(results({"val/pass_at_4": 0.77544641, "val/tokens": 1234.5}), end="")
    val/pass_at_4  0.7754
    val/tokens     1234.5
    """
    width = max(map(len, metrics), default=0)
    return "".join(f"{name:<{width}}  {_number(float(value))}\n" for name, value in sorted(metrics.items()))


def _number(value: float) -> str:
    # Four digits behind the point, as accuracies need; small numbers get four significant digits.
    return f"{value:.4g}" if value != 0 and abs(value) < 0.01 else f"{value:.4f}".rstrip("0").rstrip(".")
