"""What TensorBoard's text and HParams pages say of a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cli.run_record.tensorboard_pages import RESULTS, RunPages, comparable
from run_records import Attempt, RunRecord

CONFIG = """
seed_everything: 3
trainer: {max_steps: 10, logger: {class_path: lightning.pytorch.loggers.TensorBoardLogger}}
model:
  class_path: lightning_modules.GRPOModule
  init_args: {grpo: {clip_high: 0.28}, judge: {init_args: {mention: '%s'}}, reference: null}
data: {class_path: datamodules.ExperienceDataModule, init_args: {buffer: {capacity: 512}, reading: {report_folder: x}}}
callbacks:
  checkpoint: {class_path: callbacks.StepCheckpoint, init_args: {keep: 2}}
  calibrator: {class_path: callbacks.ThresholdCalibrator, init_args: {target: 0.1}}
""" % ("x" * 200)


def record(folder: Path) -> RunRecord:
    attempt = Attempt(started="2026-01-01T00:00:00+00:00", arguments=("fit", "--config", "configs/tiny/grpo.yaml"))
    git = {"commit": "abc123", "is_dirty": True}
    return RunRecord(folder, "fit", "grpo-no_ssb", 3, {}, (attempt,), git=git, versions={"torch": "2"}, machine={})


@pytest.fixture
def written(tmp_path: Path) -> EventAccumulator:
    logger = TensorBoardLogger(str(tmp_path), name="run", version="0")
    trainer: Any = SimpleNamespace(is_global_zero=True, loggers=[logger])
    RunPages(record(tmp_path), CONFIG).on_train_start(trainer, None)  # pyright: ignore[reportArgumentType]
    logger.experiment.flush()
    accumulator = EventAccumulator(str(tmp_path / "run" / "0"))
    accumulator.Reload()
    return accumulator


def test_settings_are_named_as_flags_and_classes_by_their_name() -> None:
    assert dict(comparable(CONFIG)) == {
        "seed": 3, "trainer.max_steps": 10, "model": "GRPOModule", "model.grpo.clip_high": 0.28,
        "data": "ExperienceDataModule", "data.buffer.capacity": 512,
        "callbacks.calibrator": "ThresholdCalibrator", "callbacks.calibrator.target": 0.1,
    }  # fmt: skip


def test_the_text_page_has_command_commit_and_config(written: EventAccumulator) -> None:
    command, config = (
        written.Tensors(f"run/{name}/text_summary")[0].tensor_proto.string_val[0].decode()
        for name in ("command", "config")
    )
    assert "python train.py fit --config configs/tiny/grpo.yaml" in command
    assert "commit abc123, with changes" in command
    assert "    seed_everything: 3" in config


def test_the_hparams_page_compares_settings_and_results_and_logs_no_value_of_its_own(written: EventAccumulator) -> None:
    contents = written.summary_metadata
    experiment = HParamsPluginData.FromString(contents["_hparams_/experiment"].plugin_data.content).experiment
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"].plugin_data.content)
    assert {metric.name.tag for metric in experiment.metric_infos} == set(RESULTS)
    assert start.session_start_info.hparams["name"].string_value == "grpo-no_ssb"
    assert start.session_start_info.hparams["model.grpo.clip_high"].number_value == 0.28
    assert written.Tags()["scalars"] == []
