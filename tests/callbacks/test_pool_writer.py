"""The prompt pool as a command: written once, whole, and the same when its making was killed in between."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as L
import pytest
from lightning.pytorch.callbacks import Callback

from algorithms import Completion, ConfigError, Prompt
from cli.app import run
from datamodules.sources.prompt_pool import PromptPool
from tests.killed_runs import run_apart
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]


class KilledAfter(Callback):
    """Kills its own process after a batch of prediction, with half a line of the next in the notes."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_predict_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args) -> None:
        if args[2] == self.batch:
            (notes,) = Path(self.folder(trainer)).glob("rank*.jsonl")
            with notes.open("a") as file:
                file.write('{"uid": 7, "ke')
            os.kill(os.getpid(), signal.SIGKILL)

    def folder(self, trainer: L.Trainer) -> str:
        return next(str(c.partial) for c in trainer.callbacks if type(c).__name__ == "PromptPoolWriter")


def pool_arguments(policy_folder: Path, name: str, *extra: str) -> list[str]:
    root = policy_folder.parent
    return [
        "predict", "--config=configs/tiny/stages/prompt_pool.yaml", f"--model.init_args.policy.path={policy_folder}",
        f"--data.init_args.source.root={root}/data", "--data.init_args.source.num_train=20",
        "--data.init_args.source.num_val=2", "--data.init_args.source.num_test=2",
        "--data.init_args.reading.batch_size=4",
        "--model.init_args.sampling.group_size=4", "--model.init_args.sampling.max_new_tokens=10",
        # A random policy is never right: some of its completions are to count as right.
        "--model.init_args.reward.parts.accuracy.reward=tests.test_training.EvenIsGood",
        f"--callbacks.pool.folder={root / name}", f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false", *extra,
    ]  # fmt: skip


@pytest.mark.long
def test_a_pool_whose_making_was_killed_is_that_of_one_never_stopped(policy_folder: Path) -> None:
    root = policy_folder.parent
    run(pool_arguments(policy_folder, "straight"))
    killer = ("--callbacks.killer=tests.callbacks.test_pool_writer.KilledAfter", "--callbacks.killer.batch=2")
    assert run_apart(pool_arguments(policy_folder, "killed", *killer), root / "w.pt") == -signal.SIGKILL
    assert not (root / "killed").exists()
    cli = run(pool_arguments(policy_folder, "killed"))
    assert len(cli.datamodule.answered_uids) == 12
    assert (root / "killed" / "pool.jsonl").read_text() == (root / "straight" / "pool.jsonl").read_text()
    assert not (root / "killed.partial").exists()


def test_report_and_histogram_lie_beside_the_pool_and_training_reads_it(policy_folder: Path) -> None:
    root = policy_folder.parent
    run(pool_arguments(policy_folder, "pool"))
    counts = json.loads((root / "pool" / "pool.json").read_text())
    assert counts["prompts"] == 20
    assert counts["never_solved"] + counts["sometimes_solved"] + counts["always_solved"] == 20
    assert (root / "pool" / "pool.png").stat().st_size > 1000
    same_data = [f"--data.init_args.source.num_{split}={n}" for split, n in (("train", 20), ("val", 2), ("test", 2))]
    pool = f"--data.init_args.pool.path={root}/pool/pool.jsonl"
    short = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    cli = run(arguments("fit", policy_folder, *same_data, pool, *short))
    assert len(cli.datamodule.prompts["train"]) == counts["sometimes_solved"] > 0


class KnowsHalf:
    """Scores some completions, and cannot score the others; of the first prompt none."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        sums = [int(completion.token_ids.sum()) for completion in completions]
        return [
            float("nan") if prompt.uid == 0 or total % 2 else float(total % 4 == 0)
            for prompt, total in zip(prompts, sums, strict=True)
        ]


def test_a_sample_that_could_not_be_scored_is_not_taken_for_a_wrong_one(policy_folder: Path) -> None:
    root = policy_folder.parent
    reward = "--model.init_args.reward.parts.accuracy.reward=tests.callbacks.test_pool_writer.KnowsHalf"
    run(pool_arguments(policy_folder, "pool", reward))
    lines = [json.loads(line) for line in (root / "pool" / "pool.jsonl").read_text().splitlines()]
    assert all(line["num_samples"] + line["num_unknown"] == 4 for line in lines)
    assert all(line["num_correct"] <= line["num_samples"] for line in lines)
    assert lines[0]["num_samples"] == 0
    counts = json.loads((root / "pool" / "pool.json").read_text())
    unknown = [line for line in lines if line["num_samples"] == 0]
    assert counts["unknown"] == len(unknown)
    assert counts["unknown_samples"] == sum(line["num_unknown"] for line in lines)
    assert counts["never_solved"] + counts["sometimes_solved"] + counts["always_solved"] == 20 - len(unknown)
    # Neither never nor always solved, and nobody knows whether it lies between.
    prompts = [Prompt(uid=line["uid"], key=line["key"], question="?") for line in lines]
    kept = PromptPool(path=str(root / "pool" / "pool.jsonl")).select(prompts)
    assert {prompt.uid for prompt in kept} == {
        line["uid"] for line in lines if 0 < line["num_correct"] < line["num_samples"]
    }


@pytest.mark.long
def test_notes_of_other_settings_are_not_mixed_in(policy_folder: Path) -> None:
    killer = ("--callbacks.killer=tests.callbacks.test_pool_writer.KilledAfter", "--callbacks.killer.batch=0")
    run_apart(pool_arguments(policy_folder, "pool", *killer), policy_folder.parent / "w.pt")
    with pytest.raises(ConfigError, match=r"holds notes of a run that was stopped, with another sampling"):
        run(pool_arguments(policy_folder, "pool", "--model.init_args.sampling.group_size=6"))
