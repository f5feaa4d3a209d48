"""Shares over test pictures and their 95 % intervals: the same pictures are drawn again and again with replacement.

Pictures of all seeds are drawn together, and differences between two policies are taken picture by picture (bootstrap).
So an interval tells how far other test pictures would move a number, and nothing of what another training run would.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.real.measures import SAMPLES

Result = Mapping[str, Any]
Counted = tuple[np.ndarray, np.ndarray]
"""Of each picture what a share is of, and the whole; their sums' ratio is the share."""
_DRAWS = 2000


class Interval(NamedTuple):
    """A value and its interval; not a number where there is no picture."""

    value: float
    low: float
    high: float

    @property
    def percent(self) -> str:
        """As a share of a hundred, the interval in brackets; empty without pictures."""
        value, low, high = (100 * each for each in self)
        return "" if np.isnan(value) else f"{value:.1f} % ({low:.1f} to {high:.1f})"

    @property
    def points(self) -> str:
        """As a difference in points of a hundred, with its sign."""
        value, low, high = (100 * each for each in self)
        return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _of_all(key: str, whole: int = 1) -> Callable[[Mapping[str, Any]], Counted]:
    return lambda pictures: (_array(pictures[key]), np.full(len(pictures[key]), float(whole)))


def _claims(pictures: Mapping[str, Any]) -> Counted:
    return _array(pictures["unsupported"]), _array(pictures["claims"])


def _blind_gap(pictures: Mapping[str, Any]) -> Counted:
    greedy, whole = _of_all("greedy")(pictures)
    return greedy - _array(pictures["blind"]), whole


def _effective(pictures: Mapping[str, Any]) -> Counted:
    right = _array(pictures["sampled"])
    return ((right > 0) & (right < SAMPLES)).astype(float), np.ones(len(right))


def _items_of(cells: int) -> Callable[[Mapping[str, Any]], Counted]:
    def counted(pictures: Mapping[str, Any]) -> Counted:
        items = _array([each for each in pictures["items"] if each[1] == cells]).reshape(-1, 2)
        return items[:, 0], items[:, 1]

    return counted


def _pope(pictures: Mapping[str, Any]) -> np.ndarray:
    """Return true yes, false yes, true no and false no of each picture, (P, 4)."""
    return _array(pictures["pope"]).reshape(-1, 4)


def _pope_accuracy(pictures: Mapping[str, Any]) -> Counted:
    counts = _pope(pictures)
    return counts[:, 0] + counts[:, 2], counts.sum(1)


def _pope_f1(pictures: Mapping[str, Any]) -> Counted:
    counts = _pope(pictures)
    return 2 * counts[:, 0], 2 * counts[:, 0] + counts[:, 1] + counts[:, 3]


ANSWERS = {
    "greedy accuracy": _of_all("greedy"),
    "sampled accuracy": _of_all("sampled", SAMPLES),
    "hallucination rate": _claims,
}
LOOKING = {"accuracy, gray picture": _of_all("blind"), "blind gap": _blind_gap, "effective": _effective}
ITEMS = {"items of 2 x 2": _items_of(4), "items of 3 x 3": _items_of(9)}
POPE = {"POPE accuracy": _pope_accuracy, "POPE F1": _pope_f1}
SHARES = {**ANSWERS, **LOOKING, **ITEMS, **POPE}


def share(results: Sequence[Result], name: str, kind: str | None = None) -> Interval:
    """Return a share over the pictures of several seeds.

    Args:
        results: of one stage.
        name: key of ``SHARES``.
        kind: of the questions that count; None: all.
    """
    parts, wholes = _columns(results, name, kind)
    if not len(parts):
        return Interval(np.nan, np.nan, np.nan)
    rows = _resampled(len(parts))
    low, high = np.quantile(_ratio(parts, wholes, rows), (0.025, 0.975))
    return Interval(float(_ratio(parts, wholes)), float(low), float(high))


def change(results: Sequence[Result], base: Sequence[Result], name: str) -> Interval:
    """Return how much a share differs from that of another stage on the same pictures."""
    now, before = _columns(results, name), _columns(base, name)
    rows = _resampled(len(now[0]))
    low, high = np.quantile(_ratio(*now, rows) - _ratio(*before, rows), (0.025, 0.975))
    return Interval(float(_ratio(*now) - _ratio(*before)), float(low), float(high))


def items_share(items: Sequence[Sequence[int]], name: str) -> Interval:
    """Return the share of items named rightly in the pictures of one size; a key of ``ITEMS``."""
    return share([{"measures": {"by_picture": {"items": items}}}], name)


def _columns(results: Sequence[Result], name: str, kind: str | None = None) -> Counted:
    """Return parts and wholes by picture, all seeds behind each other."""
    counted: list[Counted] = []
    for result in results:
        pictures = result["measures"]["by_picture"]
        parts, wholes = SHARES[name](pictures)
        if kind is not None:
            of_kind = np.asarray([each == kind for each in pictures["kind"]])
            parts, wholes = parts[of_kind], wholes[of_kind]
        counted.append((parts, wholes))
    return np.concatenate([parts for parts, _ in counted]), np.concatenate([wholes for _, wholes in counted])


def _ratio(parts: np.ndarray, wholes: np.ndarray, rows: Any = slice(None)) -> Any:
    return parts[rows].sum(-1) / np.maximum(wholes[rows].sum(-1), 1)


def _resampled(number: int) -> np.ndarray:
    # The same pictures for every policy.
    return np.random.default_rng(0).integers(0, number, (_DRAWS, number))


def _array(values: Sequence[Any]) -> np.ndarray:
    return np.asarray(values, float)
