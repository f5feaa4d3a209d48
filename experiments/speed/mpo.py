"""``make bench-mpo``: pairs per second of MPO training, here and in TRL's DPOTrainer, on the same policy and pairs.

Both train all weights but the vision tower's in 32-bit floats, with AdamW, the same batch, threads and completions.
TRL gets its best settings: gradient checkpointing only with ``--recompute``, no bfloat16 (slower on a CPU), no logging.
Its loss has no reward shift, so ours has none here either. Rounds alternate; a round's time per step is the median over
its steps. Our reference log-probs are computed once, before the first step; TRL 1.16 refuses that for pictures and
computes them in every step.

Writes runs/bench/mpo.json: ``ours`` and ``trl`` in pairs per second, ``ratio``, ``processor_ratio`` (the same in
processor seconds, which other programs on the machine disturb less), ``rounds`` with the peak of memory in GiB,
``settings``.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table

from algorithms import PreferencePair
from cli.app import run
from datamodules import MMPRFolder, PairSource, PreferenceFolder, ShapesPairs
from experiments.speed.clock import StepClock, forget_peak, peak_gibibytes
from experiments.speed.subjects import fresh_policy, lengthen, plain_copy, set_answers

OUT = Path("runs/bench/mpo.json")
LEARNING_RATE = 1e-5
WARM_UP = 4


class StepTimes(Callback):
    """Time from the end of one training step to the end of the next, data included."""

    def __init__(self, warm_up: int = WARM_UP) -> None:
        """Start without times; the first steps are not counted."""
        self.clock = StepClock(warm_up)

    def on_train_start(self, *args: Any, **kwargs: Any) -> None:
        """Note when the first step begins."""
        self.clock.end_step()

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Note the time."""
        self.clock.end_step()


Measured = dict[str, float | None]
"""``step`` and ``processor_step`` in seconds, ``gibibytes`` at the peak of the run."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default=None, help="folder of a policy; default: a fresh tiny one")
    parser.add_argument("--language-model", default=None, help="of the fresh one: a folder or wheel:PACKAGE")
    parser.add_argument("--recompute", action="store_true", help="both compute activations again in backward")
    parser.add_argument("--meta", default=None, help="meta.json of pairs in the MMPR layout; default: drawn pairs")
    parser.add_argument("--prompt-tokens", type=int, default=None, help="of every drawn prompt; default: about 40")
    parser.add_argument("--tokens", type=int, default=None, help="of every drawn completion; default: about 20")
    parser.add_argument("--pairs-per-batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=40, help="of a round")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="first steps that are not counted")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.meta and (options.prompt_tokens or options.tokens):
        parser.error("--prompt-tokens and --tokens change drawn pairs alone: leave out --meta.")
    with tempfile.TemporaryDirectory() as root:
        policy = plain_copy(options.policy or fresh_policy(Path(root), options.language_model), Path(root) / "policy")
        pairs = MMPRFolder(options.meta) if options.meta else drawn_pairs(Path(root), policy, options)
        rounds = []
        for _ in range(options.rounds):
            ours = measure_ours(policy, pairs, options)
            rounds.append({"ours": ours, "trl": measure_trl(policy, pairs, options)})
    report(rounds, vars(options))


def drawn_pairs(root: Path, policy: str, options: argparse.Namespace, num_train: int = 512) -> PreferenceFolder:
    """Return pairs about pictures, with prompts and completions of the lengths asked for."""
    drawn = ShapesPairs(num_train=num_train, num_val=1, root=str(root))
    drawn.prepare()
    pairs = PreferenceFolder(str(drawn.folder))
    file = pairs.split_file("train")
    assert file is not None
    if options.prompt_tokens is not None:
        lengthen(file, lambda: [pair.prompt for pair in read(pairs)], policy, options.prompt_tokens)
    if options.tokens is not None:
        set_answers(file, policy, options.tokens)
    return pairs


def read(pairs: PairSource) -> Sequence[PreferencePair]:
    """Return the training pairs."""
    rows = pairs.read("train", max_image_pixels=10**6)
    assert rows is not None
    return rows.pairs


def measured(clock: StepClock) -> Measured:
    """Return what a run took."""
    return {"step": clock.step, "processor_step": clock.processor_step, "gibibytes": peak_gibibytes()}


def measure_ours(policy: str, pairs: PreferenceFolder | MMPRFolder, options: argparse.Namespace) -> Measured:
    """Return what a step of this project's MPO takes, through its own trainer and data module."""
    folder = [
        "--data.init_args.pairs=datamodules.PreferenceFolder",
        f"--data.init_args.pairs.init_args.path={pairs.folder}",
    ]
    source = [f"--data.init_args.pairs.init_args.meta={pairs.meta}"] if isinstance(pairs, MMPRFolder) else folder
    # The reference log-probs are computed before the first step, as in a real run, and so are not in a step.
    flags = [
        "fit", "--config=configs/tiny/mpo.yaml", f"--model.init_args.policy.path={policy}", *source,
        f"--data.init_args.pairs_per_batch={options.pairs_per_batch}",
        '--data.init_args.selection={"kinds": [], "threshold": null}', "--data.init_args.held_out=0.0",
        "--model.init_args.mpo.reward_shift=none",
        f"--model.init_args.learning.optimizer.learning_rate={LEARNING_RATE}",
        "--model.init_args.learning.optimizer.cosine=false",
        f"--model.init_args.learning.recompute_activations={str(options.recompute).lower()}",
        f"--trainer.max_steps={options.steps}", "--trainer.limit_val_batches=0",
        "--data.init_args.max_pair_tokens=null", "--data.init_args.reading.report_folder=runs/bench",
        "--trainer.logger=false",
        "--trainer.default_root_dir=runs/bench",
        "--trainer.log_every_n_steps=1000000",
        "--trainer.enable_progress_bar=false", "--callbacks.progress=null",
        "--callbacks.layout=null", "--callbacks.times=experiments.speed.mpo.StepTimes",
        f"--callbacks.times.warm_up={options.warm_up}",
    ]  # fmt: skip
    forget_peak()
    trainer: Any = run(flags).trainer
    # By name: run as a script, this file's classes are not those that the configuration names.
    times = next(callback for callback in trainer.callbacks if type(callback).__name__ == "StepTimes")
    return measured(times.clock)


def measure_trl(policy: str, pairs: PairSource, options: argparse.Namespace) -> Measured:
    """Return what a step of TRL's DPOTrainer with the MPO loss takes."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    forget_peak()
    clock = StepClock(options.warm_up)

    class Times(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.end_step()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock.end_step()

    model: Any = AutoModelForImageTextToText.from_pretrained(policy, dtype=torch.float32)
    model.model.vision_tower.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        settings = DPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=options.recompute,
            loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0], beta=0.1, max_length=None,
            report_to="none", save_strategy="no", logging_steps=10**6, disable_tqdm=True, max_steps=options.steps,
            per_device_train_batch_size=options.pairs_per_batch, gradient_accumulation_steps=1,
            learning_rate=LEARNING_RATE, lr_scheduler_type="constant", optim="adamw_torch", max_grad_norm=1.0,
            dataloader_num_workers=0,
        )  # fmt: skip
        trainer = DPOTrainer(
            model=model,
            args=settings,
            train_dataset=trl_dataset(pairs),
            processing_class=AutoProcessor.from_pretrained(policy),
            callbacks=[Times()],
        )
        trainer.train()
    return measured(clock)


def trl_dataset(pairs: PairSource) -> Any:
    """Return the pairs in the columns that TRL reads."""
    from datasets import Dataset

    def turn(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    return Dataset.from_list(
        [
            {
                "images": [image.load() for image in pair.prompt.images],
                "prompt": turn("user", pair.prompt.question.replace("<image>", "").strip()),
                "chosen": turn("assistant", pair.chosen),
                "rejected": turn("assistant", pair.rejected),
            }
            for pair in read(pairs)
        ]
    )


def report(rounds: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Print and write the result."""
    table = Table(title="MPO training, pairs per second")
    for heading in ("round", "ours", "TRL", "ratio", "in processor time", "GiB", "TRL's"):
        table.add_column(heading, justify="right")
    rows = [
        (
            settings["pairs_per_batch"] / r["ours"]["step"],
            settings["pairs_per_batch"] / r["trl"]["step"],
            r["trl"]["step"] / r["ours"]["step"],
            r["trl"]["processor_step"] / r["ours"]["processor_step"],
        )
        for r in rounds
    ]
    medians = tuple(statistics.median(column) for column in zip(*rows, strict=True))
    for number, (r, row) in enumerate(zip(rounds, rows, strict=True)):
        memory = (f"{r[side]['gibibytes'] or math.nan:.2f}" for side in ("ours", "trl"))
        table.add_row(str(number), *(f"{value:.3g}" for value in row), *memory)
    table.add_row("median", *(f"{value:.3g}" for value in medians))
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "dtype": "float32"}
    names = ("ours", "trl", "ratio", "processor_ratio")
    result = {name: round(value, 3) for name, value in zip(names, medians, strict=True)}
    OUT.write_text(json.dumps({**result, "rounds": rounds, "settings": settings}, indent=1) + "\n")


if __name__ == "__main__":
    main()
