"""Which callbacks get the rollouts."""

from typing import Any, cast

import lightning.pytorch as L

from callbacks import CompletionsPage, HallucinationMonitor, RewardThresholdCalibrator, TensorBoardLayout
from lightning_modules import RolloutObserver, SignalPublisher, SignalReader


class Own(L.Callback):
    """A callback of a user: it has the hook and inherits from nothing else of this project."""

    def on_rollout_end(self, trainer, pl_module, phase) -> None: ...


def test_a_callback_with_the_hook_is_an_observer_and_any_other_one_is_not() -> None:
    assert isinstance(Own(), RolloutObserver)
    assert isinstance(CompletionsPage(), RolloutObserver)
    assert not isinstance(TensorBoardLayout(), RolloutObserver)


def test_monitor_and_calibrator_declare_their_signals() -> None:
    calibrator = RewardThresholdCalibrator("reward.taste.cap", strategy=cast(Any, None))
    assert isinstance(calibrator, SignalReader)
    assert isinstance(HallucinationMonitor(), SignalPublisher)
    assert not isinstance(CompletionsPage(), SignalReader | SignalPublisher)
