"""Monitor and calibrator in runs of the tiny world with a random policy, from the command line's own entry."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from algorithms import Completion, ConfigError, Prompt
from cli.app import run
from rollouts import RolloutEngine, SamplingConfig
from tests.conftest import long
from tests.test_training import arguments, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]

MONITOR = (
    "--callbacks.hallucination=callbacks.HallucinationMonitor", "--callbacks.hallucination.every_n_steps=2",
    "--callbacks.hallucination.probes.num_probes=4", "--callbacks.hallucination.rise=0.0001",
)  # fmt: skip
CALIBRATOR = (
    "--model.init_args.reward.parts.taste.reward=tests.callbacks.loop.test_hallucination_loop.LikesClaims",
    "--model.init_args.reward.parts.taste.weight=0.5",
    "--callbacks.calibrator=callbacks.RewardThresholdCalibrator", "--callbacks.calibrator.part=taste",
    "--callbacks.calibrator.moves=reward.taste.weight",
    '--callbacks.calibrator.strategy={"class_path": "algorithms.calibration.TargetRate", "init_args": '
    '{"target": 0.01, "band": 0.0, "step": 0.1, "bounds": {"low": 0.0, "high": 1.0}}}',
)  # fmt: skip


class LikesClaims:
    """A preference model that likes to hear of shapes, whether they are there or not."""

    is_rule = False

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [float(c.text.count("-")) for c in completions]


@cache
def facts_in(folder: Path) -> dict[str, list[str]]:
    """What each picture of a drawn folder shows."""
    rows = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    return {Path(row["image"]).name: row["facts"] for row in rows}


class ReadsPictures(RolloutEngine):
    """An engine that says just what is in a picture, whatever prompt it comes with."""

    def __init__(self) -> None:
        self.policy: Any = None

    def sync(self, policy: Any, *, version: int) -> None:
        self.policy = policy

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        tokenizer = self.policy.encoder.tokenizer
        groups = []
        for prompt in prompts:
            image: Any = prompt.images[0]
            things = facts_in(image.path.parent.parent)[image.path.name]
            texts = [" ".join([*things, "</think>", *["."] * (number + 1)]) for number in range(sampling.group_size)]
            tokens = [torch.tensor(tokenizer(text)["input_ids"]) for text in texts]
            groups.append(
                [
                    Completion(token_ids=ids, behavior_logps=torch.zeros(len(ids)), text=text, finish_reason="stop")
                    for ids, text in zip(tokens, texts, strict=True)
                ]
            )
        return groups


class ShuffledPictures(Callback):
    """Gives every training prompt the picture of its neighbour, from step 4 on."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        if trainer.global_step == 4:
            data: Any = trainer.datamodule
            prompts = data.prompts["train"]
            data.prompts["train"] = [
                replace(prompt, images=neighbour.images)
                for prompt, neighbour in zip(prompts, [*prompts[1:], prompts[0]], strict=True)
            ]


def named(cli: Any, name: str) -> Any:
    return next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == name)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    (log,) = {path.parent for path in folder.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(log), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return found | {tag: [] for tag in [*events.Tags()["images"], *events.Tags()["tensors"]]}


@pytest.mark.long
def test_a_run_with_the_monitor_ends_with_the_weights_of_one_without(policy_folder: Path) -> None:
    watched = weights(run(arguments("fit", policy_folder, *MONITOR)))
    assert largest_difference(watched, weights(run(arguments("fit", policy_folder)))) == 0.0


def test_rates_intervals_kinds_lengths_cost_and_worst_examples_reach_tensorboard(policy_folder: Path) -> None:
    cli = run(arguments("fit", policy_folder, *MONITOR))
    logged = scalars(policy_folder.parent)
    promised = {
        "rate", "rate_low", "rate_high", "completions", "coverage", "claims_per_completion", "blindness", "rise",
        "rate_absent", "rate_surplus",
    }  # fmt: skip
    assert {f"hallucination/{name}" for name in promised} <= logged.keys()
    assert [step for step, _ in logged["hallucination/rate"]] == [0, 2, 4]
    assert any(tag.startswith("hallucination/rate_of_") for tag in logged)
    assert any(tag.startswith("hallucination/rate_length_") for tag in logged)
    assert "hallucination/worst_0" in logged
    assert 0.0 < logged["time/monitor_share"][-1][1] < 1.0
    (low,), (rate,), (high,) = ([v for s, v in logged[f"hallucination/{n}"] if s == 4] for n in
                                ("rate_low", "rate", "rate_high"))  # fmt: skip
    assert low <= rate <= high
    assert cli.model.signals.latest("hallucination/rate").step == 4
    assert float(cli.trainer.callback_metrics["hallucination/rate"]) == pytest.approx(rate)


def test_the_calibrator_moves_the_weight_step_by_step_and_says_so(policy_folder: Path) -> None:
    cli = run(arguments("fit", policy_folder, *MONITOR, *CALIBRATOR))
    # Signals of steps 0 and 2 are acted on; that of step 4 comes after the last batch.
    assert cli.model.reward.weights["taste"] == pytest.approx(0.3)
    logged = scalars(policy_folder.parent)
    assert [(step, pytest.approx(value)) for step, value in logged["calibration/threshold"]] == [(0, 0.4), (2, 0.3)]
    assert "calibration/changes/text_summary" in logged


@pytest.mark.parametrize("killed_after", [long(1), 2, long(3)])
def test_monitor_and_calibrator_resume_exactly(policy_folder: Path, killed_after: int) -> None:
    both = (*MONITOR, *CALIBRATOR)
    straight = run(arguments("fit", policy_folder, *both))
    saving = (
        "--trainer.enable_checkpointing=true", f"--trainer.max_steps={killed_after}",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
        f"--callbacks.checkpoint.dirpath={policy_folder.parent / 'checkpoints'}",
    )  # fmt: skip
    run(arguments("fit", policy_folder, *both, *saving))
    checkpoint = policy_folder.parent / "checkpoints" / f"step={killed_after}.ckpt"
    resumed = run(arguments("fit", policy_folder, *both, f"--ckpt_path={checkpoint}"))
    assert largest_difference(weights(straight), weights(resumed)) == 0.0
    for name in ("HallucinationMonitor", "RewardThresholdCalibrator"):
        assert named(straight, name).state_dict() == named(resumed, name).state_dict()


def test_pictures_shuffled_among_prompts_are_flagged_within_one_interval(policy_folder: Path) -> None:
    planted = (
        "--model.init_args.engine=tests.callbacks.loop.test_hallucination_loop.ReadsPictures", "--trainer.max_steps=8",
        "--callbacks.shuffle=tests.callbacks.loop.test_hallucination_loop.ShuffledPictures",
        "--callbacks.hallucination.rise=0.2", "--trainer.limit_val_batches=0",
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"step 6: the hallucination rate has risen \(rollouts: 0\.0% -> [1-9]"):
        run(arguments("fit", policy_folder, *MONITOR, *planted))
    assert [step for step, value in scalars(policy_folder.parent)["hallucination/rise"] if value] == [6]


def test_a_calibrator_without_monitor_and_a_threshold_that_is_not_there_are_refused(policy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs the signal 'hallucination/rate', which no callback"):
        run(arguments("fit", policy_folder, *CALIBRATOR))
    with pytest.raises(
        ConfigError, match=r"moves is 'reward\.taste\.cap', which this run does not have; it has reward"
    ):
        run(arguments("fit", policy_folder, *MONITOR, *CALIBRATOR, "--callbacks.calibrator.moves=reward.taste.cap"))
