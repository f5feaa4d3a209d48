"""Signals: values that one callback publishes and another callback reads; the two need not know each other.

A monitor publishes a rate, and a calibrator reads it. A value stays until the next one replaces it. It comes with the
optimizer step at which it was measured, so that a reader does not act on it twice, whatever the order of callbacks.
Values are the same on every rank.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from algorithms.errors import ConfigError


class Signal(NamedTuple):
    """A published value."""

    value: float
    step: int
    """Optimizer steps of the policy on which the value was measured."""


@runtime_checkable
class SignalPublisher(Protocol):
    """A callback that declares which signals it publishes. It need not inherit from this class."""

    # A property, so that a callback may define it as a class attribute, or compute it from its settings.
    @property
    def provides(self) -> Iterable[str]:
        """Names of the signals."""
        ...


@runtime_checkable
class SignalReader(Protocol):
    """A callback that declares which signals it reads. It need not inherit from this class."""

    @property
    def requires(self) -> Iterable[str]:
        """Names of the signals."""
        ...


class SignalBoard:
    """The latest value of each signal. The module owns the board and saves it in checkpoints."""

    def __init__(self) -> None:
        """Start without values."""
        self._signals: dict[str, Signal] = {}
        self._trials: dict[str, float] = {}

    def publish(self, name: str, value: float, *, step: int, trials: float = math.inf) -> None:
        """Replace the value of a signal.

        Args:
            name: the signal.
            value: the value, the same on every rank.
            step: optimizer steps of the policy on which it was measured.
            trials: for a rate, its divisor (such as the number of claims), so that readers can distinguish a change
                from chance.
        """
        self._signals[name] = Signal(value, step)
        self._trials[name] = trials

    def latest(self, name: str) -> Signal | None:
        """Return the newest value of a signal; None before the first."""
        return self._signals.get(name)

    def trials(self, name: str) -> float:
        """Return the divisor of the newest value of a rate; infinity for a value that is known exactly."""
        return self._trials[name]

    def state_dict(self) -> dict[str, Any]:
        """Return the values as plain numbers."""
        # Plain lists, because loading with weights_only=True refuses classes of this project.
        return {name: [*signal, self._trials[name]] for name, signal in self._signals.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all values."""
        self._signals = {name: Signal(*numbers[:2]) for name, numbers in state.items()}
        # Older checkpoints have no trials.
        self._trials = {name: (*numbers[2:], math.inf)[0] for name, numbers in state.items()}


def check_signals(callbacks: Iterable[object]) -> None:
    """Refuse a callback that reads a signal which no callback publishes.

    Args:
        callbacks: all callbacks of a run; those that are neither ``SignalPublisher`` nor ``SignalReader`` are passed
            over.

    Raises:
        ConfigError: names the callback, the missing signal and the published ones.
    """
    callbacks = list(callbacks)
    # All publishers are collected first, because a reader may come before its publisher.
    provided = {name for each in callbacks if isinstance(each, SignalPublisher) for name in each.provides}
    for callback in callbacks:
        if isinstance(callback, SignalReader) and (missing := sorted(set(callback.requires) - provided)):
            raise ConfigError(
                f"{type(callback).__name__} needs the signal {missing[0]!r}, which no callback of this run publishes. "
                f"Published: {', '.join(sorted(provided)) or 'none'}. Add callbacks.HallucinationMonitor, or name "
                "another signal."
            )
