"""``make notebook-runs``: the finished runs that the notebooks read, kept small in notebooks/data/.

    sweeps       GRPO with the buffer, with uniform replay and without, three seeds each; with a biased preference
                 model, raw and calibrated, one seed each
    kept         run.json of each run, and a few of its curves
    answers      what the policies of seed 0 answer to the first test questions, at the end
    ten pairs    preference pairs with log-probabilities before and after MPO

About an hour on two cores; what is there already is not run again. ``--short`` takes two steps of one seed each, and
writes to runs/notebook-data: to see that all of it works. Any other flag is given to every run.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch.utils.tensorboard.writer import SummaryWriter

from algorithms import PairSelection, PreferencePair
from callbacks import PairWriter
from cli.app import run
from cli.notebook import built, stand_in_project
from cli.sweep.command import main as sweep
from cli.sweep.options import read_options
from cli.sweep.plan import plan
from cli.sweep.side_by_side import cores
from datamodules import MMPRFolder, PairDataModule, PromptDataModule, ReadingConfig, ShapesFolder
from lightning_modules import LearningConfig, MPOModule, OptimizerConfig, RolloutModule
from lightning_modules.pair_logps import pair_logps
from models import PretrainedPolicy, PretrainedRewardModel
from rewards import AccuracyReward, PreferenceReward, RewardPart, WeightedReward
from rollouts import SamplingConfig, TransformersEngine
from run_records import FILE_NAME, RunRecord, read_curves
from storage import whole_file

DATA, SHORT_DATA = Path("notebooks/data"), Path("runs/notebook-data")
GRPO = "configs/tiny/grpo.yaml"
BIASED = "configs/tiny/overlays/grpo_biased.yaml"
CALIBRATED = "configs/tiny/overlays/grpo_calibrated.yaml"
EVERY_RUN = ("--callbacks.completions=null", "--callbacks.export=callbacks.ExportPolicy")
LENGTH = ("--trainer.max_steps=150", "--trainer.val_check_interval=25")
SHORT_LENGTH = ("--trainer.max_steps=2", "--trainer.val_check_interval=2")
# The overlay of the calibrator starts at weight 0; here it starts at a weight that causes hacking, so the calibrator
# has to lower it.
SWEEPS = (
    (("--config", GRPO, "--baseline", "--overlays", "configs/ablations/replay/no_ssb.yaml",
      "configs/ablations/replay/uniform_replay.yaml"), ("0", "1", "2")),
    (("--config", GRPO, "--config", BIASED), ("0",)),
    (("--config", GRPO, "--config", BIASED, "--config", CALIBRATED, "--model.reward.parts.preference.weight=1.0"),
     ("0",)),
)  # fmt: skip
CURVES = (
    "rollout/effective_fraction", "rollout/accuracy", "rollout/preference", "rollout/hallucination_rate",
    "rollout/completion_tokens", "buffer/batch_samples", "buffer/replay_fraction", "buffer/replay_age",
    "train/log_ratio_fresh", "train/log_ratio_replay", "train/entropy", "val/greedy_accuracy", "val/sampled_accuracy",
    "val/hallucination_rate", "val/claims_per_completion", "val/coverage", "hallucination/rate",
    "hallucination/claims_per_completion", "calibration/threshold",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the files.

    Raises:
        SystemExit: where a run has failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=min(2, cores()))
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it works")
    options, flags = parser.parse_known_args(arguments)
    stand_in_project()
    data = SHORT_DATA if options.short else DATA
    for words, seeds in SWEEPS:
        length = SHORT_LENGTH if options.short else LENGTH
        line = [*words, "--seeds", *(seeds[:1] if options.short else seeds), *length, *EVERY_RUN, *flags]
        records = swept([*line, "--jobs", str(options.jobs)])
        for name, record in records.items():
            keep(record, data / "finished" / name)
        # The first one is of the first seed, without an overlay to compare with.
        name, record = next(iter(records.items()))
        keep_answers(record, data / "answers" / f"{name}.jsonl", flags=flags)
    keep_ten_pairs(data / "ten_pairs.json", steps=2 if options.short else 100)


def swept(line: Sequence[str]) -> dict[str, RunRecord]:
    """Run a sweep and return the records of its runs by name: of these, and of no other run that is called the same.

    Args:
        line: the command line behind ``train.py sweep``.

    Raises:
        SystemExit: where a run has failed.
    """
    if sweep(line):
        raise SystemExit("a run has failed; the sweep above says which")
    options = read_options(line)
    runs = plan(options.configs, options.variants, options.seeds, options.shared)
    records = {run.name: run.record() for run in runs}
    return {name: record for name, record in records.items() if record is not None}


def keep(record: RunRecord, folder: Path, metrics: Sequence[str] = CURVES) -> None:
    """Write a run's record and some of its curves to another folder, which can then be read like that of the run.

    Args:
        record: record of the run.
        folder: target folder.
        metrics: names of the curves; metrics that the run did not log are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    with whole_file(folder / FILE_NAME) as draft:
        draft.write_text((record.folder / FILE_NAME).read_text())
    with SummaryWriter(str(folder)) as writer:
        for name, curve in read_curves(record.folder, metrics).items():
            for point in curve:
                writer.add_scalar(name, point.value, point.step, walltime=point.time)
    (written,) = folder.glob("events.out.tfevents.*")
    # Without time, host and process in its name: the same run is kept in the same file.
    written.rename(folder / "events.out.tfevents.0.kept")


def keep_answers(
    record: RunRecord, file: Path, *, flags: Sequence[str] = (), num_prompts: int = 8, num_completions: int = 2
) -> None:
    """Write what the policy of a run answers to the first test questions.

    Args:
        record: of a run that has written its export.
        file: where to, as lines of JSON.
        flags: of every run, besides those that say what is asked.
        num_prompts: questions that are kept.
        num_completions: answers to each.
    """
    written = record.folder.parent / f"{record.folder.name}-answers.jsonl"
    policy = ["--model.policy=models.PretrainedPolicy", f"--model.policy.path={record.folder / 'export'}"]
    run(
        ["predict", "--config", GRPO, *flags, *policy, "--seed_everything=0", "--data.reading.predict_split=test",
         "--trainer.limit_predict_batches=1", f"--model.sampling.group_size={num_completions}",
         f"--callbacks.predictions.path={written}"]
    )  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as draft:
        draft.write_text("".join(f"{line}\n" for line in written.read_text().splitlines()[:num_prompts]))


def keep_ten_pairs(file: Path, *, steps: int = 100) -> None:
    """Make pairs of the tiny policy's completions, train MPO on them, and write ten with what it changed."""
    base, folder = built("configs/tiny/stages/adapter.yaml"), Path("runs/notebooks/ten_pairs")
    source = ShapesFolder(num_train=256, num_val=128, num_test=8)
    scorer = PretrainedRewardModel(built("configs/tiny/stages/reward_model.yaml"))
    parts = {"accuracy": RewardPart(AccuracyReward()), "preference": RewardPart(PreferenceReward(scorer))}
    shared: dict[str, Any] = {
        "reward": WeightedReward(parts),
        "engine": TransformersEngine(),
        "sampling": SamplingConfig(group_size=8, max_new_tokens=48),
    }
    silent: dict[str, Any] = {
        "default_root_dir": folder, "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
        "enable_model_summary": False,
    }  # fmt: skip
    writer = PairWriter(str(folder / "pairs"), PairSelection(kinds=("correctness", "reward_model"), max_per_prompt=4))
    prompts = PromptDataModule(source, ReadingConfig(predict_split="train"))
    asked = RolloutModule(PretrainedPolicy(base), **shared)
    L.Trainer(callbacks=[writer], **silent).predict(asked, prompts, return_predictions=False)

    learning = LearningConfig(trainable=("adapter", "language_model"), optimizer=OptimizerConfig(learning_rate=1e-4))
    module = MPOModule(PretrainedPolicy(base), learning)
    data = PairDataModule(MMPRFolder(str(folder / "pairs" / "meta.json")))
    L.Trainer(max_steps=steps, max_epochs=-1, limit_val_batches=0, **silent).fit(module, data)

    pairs = ten_pairs(str(folder / "pairs" / "meta.json"))
    with torch.no_grad():
        before = pair_logps(PretrainedPolicy(base).build(), pairs)
        after = pair_logps(module.loaded_policy.train(False), pairs)
    rows = [
        row_of(pair)
        | {"logps_before": before.logps[i].tolist(), "logps_after": after.logps[i].tolist()}
        | {"num_tokens": before.num_tokens[i].tolist()}
        for i, pair in enumerate(pairs)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as draft:
        draft.write_text(json.dumps(rows, indent=1) + "\n")


def ten_pairs(meta: str) -> list[PreferencePair]:
    """Return five pairs that rules chose and five of the reward model, each of another question.

    Each is the first pair of its question that fits on a line, with two whole and short completions.
    """
    rows = MMPRFolder(meta).read("train", max_image_pixels=10**6)
    assert rows is not None, "every folder of pairs has a split train"
    found: dict[int, PreferencePair] = {}
    for kind in ("correctness", "reward_model"):
        fitting = [pair for pair in rows.pairs if pair.kind == kind and pair.prompt.uid not in found and _fits(pair)]
        # Filled from the last pair to the first, so that the first pair of a question stays.
        first = {pair.prompt.uid: pair for pair in reversed(fitting)}
        found |= {uid: first[uid] for uid in sorted(first)[:5]}
    return list(found.values())


def _fits(pair: PreferencePair) -> bool:
    return all("</think>" in text and len(text) <= 100 for text in (pair.chosen, pair.rejected))


def row_of(pair: PreferencePair) -> dict[str, Any]:
    """Return what the notebook shows of a pair."""
    return {
        "question": pair.prompt.question,
        "answer": pair.prompt.answer,
        "kind": pair.kind,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "chosen_score": pair.chosen_score,
        "rejected_score": pair.rejected_score,
    }


if __name__ == "__main__":
    main()
