"""The board on which monitors publish values and calibrators read them, so that neither needs to know the other.

A value stays until the next one replaces it, and comes with the optimizer step it was measured at: a reader that
has seen the step does not act on it twice, whatever the order of callbacks. Values are the same on every rank.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from algorithms.errors import ConfigError


class Signal(NamedTuple):
    """One published value."""

    value: float
    step: int
    """Optimizer steps behind the policy it was measured on."""


class SignalBoard:
    """The latest value under each name."""

    def __init__(self) -> None:
        """Start empty."""
        self._signals: dict[str, Signal] = {}

    def publish(self, name: str, value: float, *, step: int) -> None:
        """Replace the value under a name."""
        self._signals[name] = Signal(value, step)

    def latest(self, name: str) -> Signal | None:
        """Return the newest value under a name; None before the first."""
        return self._signals.get(name)

    def state_dict(self) -> dict[str, Any]:
        """Return the values as plain numbers."""
        return {name: [signal.value, signal.step] for name, signal in self._signals.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all values."""
        self._signals = {name: Signal(*numbers) for name, numbers in state.items()}


def check_signals(callbacks: Iterable[object]) -> None:
    """Refuse a callback that reads a signal nobody publishes.

    Callbacks may have ``provides`` and ``requires``, names of the signals they publish and read.

    Raises:
        ConfigError: with the signals that there are.
    """
    callbacks = list(callbacks)
    provided = {name for callback in callbacks for name in _names(callback, "provides")}
    for callback in callbacks:
        if missing := sorted(set(_names(callback, "requires")) - provided):
            raise ConfigError(
                f"{type(callback).__name__} needs the signal {missing[0]!r}, which no callback of this run publishes. "
                f"Published: {', '.join(sorted(provided)) or 'none'}. Add callbacks.HallucinationMonitor, or name "
                "another signal."
            )


def _names(callback: object, attribute: str) -> Iterable[str]:
    names: Iterable[str] = getattr(callback, attribute, ())
    return names
