"""GRPO's frozen tower reads each image of a rollout once, also after a resume in the middle of one."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from cli.app import run
from tests.test_training import arguments, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]

HERE = "tests.lightning_modules.ahead.test_rollout_images"
# Every sample is learnt from, and none of an earlier rollout, whose images are read anew.
FLAGS = (
    f"--callbacks.images={HERE}.ImagesRead", "--data.init_args.buffer.capacity=0", "--trainer.limit_val_batches=0",
    # Scores everything once more before it is learnt from.
    "--model.init_args.grpo.engine_ratio_cap=2.0",
)  # fmt: skip


class ImagesRead(Callback):
    """Counts the images that the tower has read by the end of each step."""

    def __init__(self) -> None:
        self.by_step: list[int] = []
        self.number = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        def count(module: Any, args: Any, output: Any) -> None:
            self.number += len(output.last_hidden_state)

        pl_module.policy.model.model.vision_tower.register_forward_hook(count)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any, **kwargs: Any) -> None:
        self.by_step.append(self.number)


def images_read(cli: Any) -> list[int]:
    return next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "ImagesRead").by_step


def test_sampling_scoring_and_learning_read_each_image_of_a_rollout_once(policy_folder: Path) -> None:
    # Two rollouts of four prompts, two steps each.
    assert images_read(run(arguments("fit", policy_folder, *FLAGS))) == [4, 4, 8, 8]


@pytest.mark.long
def test_a_run_resumed_within_a_rollout_reads_its_images_in_the_same_groups_first(policy_folder: Path) -> None:
    straight = run(arguments("fit", policy_folder, *FLAGS))
    checkpoints = policy_folder.parent / "checkpoints"
    saving = (
        "--trainer.enable_checkpointing=true", "--trainer.max_steps=3",
        "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={checkpoints}", "--callbacks.checkpoint.every_n_train_steps=1",
    )  # fmt: skip
    run(arguments("fit", policy_folder, *FLAGS, *saving))
    saved = torch.load(checkpoints / "step=3.ckpt", weights_only=False)["rollout_images"]
    assert [[len(group) for group in groups] for groups in saved] == [[4]]
    resumed = run(arguments("fit", policy_folder, *FLAGS, f"--ckpt_path={checkpoints}/step=3.ckpt"))
    assert images_read(resumed) == [4]
    assert largest_difference(weights(straight), weights(resumed)) == 0.0


@pytest.mark.long
def test_a_tower_that_learns_reads_images_whenever_they_are_needed(policy_folder: Path) -> None:
    learning = "--model.init_args.learning.trainable=[vision_tower,adapter]"
    read = images_read(run(arguments("fit", policy_folder, *FLAGS, learning)))
    assert read[0] > 8
    assert read[1] > read[0]
