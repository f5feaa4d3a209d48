"""Comparison of mathematics by computer algebra, in processes that can be killed."""

from collections.abc import Callable
from fractions import Fraction

Decide = Callable[[str, tuple[str, ...], tuple[str, ...], Fraction | None], bool]
"""Compares expressions: kind, gold, answer, tolerance."""
