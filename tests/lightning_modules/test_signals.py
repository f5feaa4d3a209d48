"""The board between monitors and calibrators."""

import pytest

from algorithms.errors import ConfigError
from lightning_modules.signals import SignalBoard, check_signals


class Monitor:
    provides = ("hallucination/rate",)


class Calibrator:
    requires = ("hallucination/rate",)


def test_the_latest_value_stays_with_its_step_and_survives_a_checkpoint() -> None:
    board, restored = SignalBoard(), SignalBoard()
    board.publish("rate", 0.2, step=10)
    board.publish("rate", 0.3, step=20)
    restored.load_state_dict(board.state_dict())
    assert restored.latest("rate") == board.latest("rate") == (0.3, 20)
    assert board.latest("other") is None


def test_a_rate_comes_with_what_it_is_a_share_of() -> None:
    board, restored = SignalBoard(), SignalBoard()
    board.publish("rate", 0.2, step=10, trials=40)
    board.publish("exact", 0.5, step=10)
    restored.load_state_dict(board.state_dict())
    assert (restored.trials("rate"), restored.trials("exact")) == (40, float("inf"))
    # As a checkpoint of before has it.
    restored.load_state_dict({"rate": [0.2, 10]})
    assert restored.trials("rate") == float("inf")


def test_a_calibrator_without_its_monitor_is_refused_in_either_order() -> None:
    check_signals([Calibrator(), Monitor(), object()])
    with pytest.raises(ConfigError, match=r"Calibrator needs the signal 'hallucination/rate'.*Published: none"):
        check_signals([Calibrator(), object()])
