"""A calibrator whose readings rest on nothing leaves its threshold alone, and says so once."""

from types import SimpleNamespace
from typing import Any

import pytest

from algorithms import ConfigError
from algorithms.calibration import Bounds, TargetRate
from callbacks.loop.calibrator import RewardThresholdCalibrator
from callbacks.loop.knobs import Knob
from lightning_modules.signals import SignalBoard
from tests.callbacks.loop.test_hallucination_loop import CALIBRATOR, MONITOR, arguments, policy_folder, run

__all__ = ["policy_folder"]


class Loop:
    """A calibrator with a threshold of 0.5, and the values that it logs."""

    def __init__(self) -> None:
        strategy = TargetRate(target=0.2, step=0.1, bounds=Bounds(low=0.0, high=1.0))
        self.calibrator: Any = RewardThresholdCalibrator(moves="reward.taste.weight", strategy=strategy)
        self.threshold, self.logged, self.board = 0.5, [], SignalBoard()
        self.calibrator._knob = lambda *_: Knob(get=lambda: self.threshold, set=self.move, stricter=-1)

    def move(self, threshold: float) -> None:
        self.threshold = threshold

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.logged.append(values)

    def read(self, rate: float, claims: int, *, step: int) -> None:
        self.board.publish("hallucination/rate", rate, step=step, trials=claims)
        trainer = SimpleNamespace(global_step=step, loggers=[self], is_global_zero=True)
        self.calibrator.on_train_batch_start(trainer, SimpleNamespace(signals=self.board), None, 0)


def test_without_claims_the_threshold_stays_and_that_is_said_once(recwarn: pytest.WarningsRecorder) -> None:
    loop = Loop()
    for step in (0, 10, 20):
        loop.read(0.0, 0, step=step)
    assert loop.threshold == 0.5
    assert loop.logged == [{"calibration/threshold": 0.5, "calibration/has_evidence": 0.0}] * 3
    (told,) = [str(w.message) for w in recwarn if "calibrator" in str(w.message)]
    assert "leaves reward.taste.weight at 0.5" in told
    assert "0 claims are fewer than 10" in told


def test_claims_move_it_as_far_as_their_number_allows() -> None:
    loop = Loop()
    loop.read(0.3, 30, step=0)
    assert loop.threshold == 0.5
    loop.read(0.3, 3000, step=10)
    assert loop.threshold == pytest.approx(0.4)
    assert [values["calibration/has_evidence"] for values in loop.logged] == [1.0, 1.0]
    restored = Loop()
    restored.calibrator.load_state_dict(loop.calibrator.state_dict())
    assert restored.calibrator.readings == loop.calibrator.readings


def test_evidence_saved_before_readings_had_claims_can_be_restored() -> None:
    loop = Loop()
    old = loop.calibrator.state_dict() | {"readings": [[0, 0.3, 1.0]], "seen_step": 0}
    loop.calibrator.load_state_dict(old)
    assert loop.calibrator.readings == [(0, 0.3, 1.0, float("inf"))]


def test_a_run_whose_threshold_starts_outside_its_bounds_is_refused(policy_folder) -> None:
    outside = '--callbacks.calibrator.strategy={"class_path": "algorithms.calibration.TargetRate", "init_args": {"target": 0.01, "step": 0.1, "bounds": {"low": 1.0, "high": 2.0}}}'  # noqa: E501
    with pytest.raises(ConfigError, match=r"^reward\.taste\.weight is 0\.5, outside of strategy\.bounds from 1 to 2: "):
        run(arguments("fit", policy_folder, *MONITOR, *CALIBRATOR, outside))
