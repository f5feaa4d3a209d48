"""``make bench-mpo``: pairs per second of MPO training, here and in TRL's DPOTrainer, on the same policy and pairs.

Both train all weights but the vision tower's in 32-bit floats, with AdamW, the same batch, threads and completions.
TRL gets its best settings: gradient checkpointing only with ``--recompute``, no bfloat16 (slower on a CPU), no logging.
Its loss has no reward shift, so ours has none here either. Rounds alternate; a round's time per step is the median over
its steps.

Writes runs/bench/mpo.json: ``ours`` and ``trl`` in pairs per second, ``ratio``, ``rounds`` with the peak of memory in
GiB, ``settings``.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from lightning.pytorch import Callback
from rich.console import Console
from rich.table import Table

from cli.app import run
from datamodules import MMPRFolder, PairSource, ShapesPairs
from experiments.speed.clock import forget_peak, peak_gibibytes
from experiments.speed.subjects import fresh_policy, plain_copy

OUT = Path("runs/bench/mpo.json")
LEARNING_RATE = 1e-5


class StepTimes(Callback):
    """Seconds from the end of one training step to the end of the next, data included."""

    def __init__(self) -> None:
        """Start without times."""
        self.ends: list[float] = []

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Note the time."""
        self.ends.append(time.perf_counter())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default=None, help="folder of a policy; default: a fresh tiny one")
    parser.add_argument("--language-model", default=None, help="of the fresh one: a folder or wheel:PACKAGE")
    parser.add_argument("--recompute", action="store_true", help="both compute activations again in backward")
    parser.add_argument("--meta", default=None, help="meta.json of pairs in the MMPR layout; default: drawn pairs")
    parser.add_argument("--pairs-per-batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=40, help="steps of a round; the first four are not counted")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        policy = plain_copy(options.policy or fresh_policy(Path(root), options.language_model), Path(root) / "policy")
        pairs: PairSource = MMPRFolder(options.meta) if options.meta else ShapesPairs(num_train=512, root=root)
        pairs.prepare()
        source = ["--data.init_args.pairs=datamodules.ShapesPairs", "--data.init_args.pairs.init_args.num_train=512",
                  f"--data.init_args.pairs.init_args.root={root}"]  # fmt: skip
        if options.meta:
            source = [f"--data.init_args.pairs.init_args.meta={options.meta}"]
        rounds = []
        for _ in range(options.rounds):
            forget_peak()
            ours = options.pairs_per_batch / measure_ours(policy, source, options)
            memory = {"ours_gibibytes": peak_gibibytes()}
            forget_peak()
            trl = options.pairs_per_batch / measure_trl(policy, pairs, options)
            rounds.append({"ours": ours, "trl": trl, **memory, "trl_gibibytes": peak_gibibytes()})
    report(rounds, vars(options))


def measure_ours(policy: str, source: Sequence[str], options: argparse.Namespace) -> float:
    """Return seconds per step of this project's MPO, through its own trainer and data module."""
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
        "--data.init_args.reading.report_folder=runs/bench", "--trainer.logger=false",
        "--trainer.default_root_dir=runs/bench",
        "--trainer.log_every_n_steps=1000000",
        "--trainer.enable_progress_bar=false", "--callbacks.progress=null",
        "--callbacks.layout=null", "--callbacks.times=experiments.speed.mpo.StepTimes",
    ]  # fmt: skip
    cli = run(flags)
    times: Any = next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "StepTimes")  # pyright: ignore[reportAttributeAccessIssue]
    return median_step(times.ends)


def measure_trl(policy: str, pairs: PairSource, options: argparse.Namespace) -> float:
    """Return seconds per step of TRL's DPOTrainer with the MPO loss."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    ends: list[float] = []

    class Times(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.perf_counter())

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
    return median_step(ends)


def trl_dataset(pairs: PairSource) -> Any:
    """Return the pairs in the columns that TRL reads."""
    from datasets import Dataset

    rows = pairs.read("train", max_image_pixels=10**6)
    assert rows is not None

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
            for pair in rows.pairs
        ]
    )


def median_step(ends: Sequence[float]) -> float:
    """Return the median time between ends, without the first four steps."""
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(ends[3:]))


def report(rounds: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Print and write the result."""
    ours, trl = (statistics.median(r[name] for r in rounds) for name in ("ours", "trl"))
    ratio = statistics.median(r["ours"] / r["trl"] for r in rounds)
    table = Table(title="MPO training, pairs per second")
    for heading in ("round", "ours", "TRL", "ratio", "GiB", "TRL's"):
        table.add_column(heading, justify="right")
    for number, r in enumerate(rounds):
        memory = (f"{r[side] or math.nan:.2f}" for side in ("ours_gibibytes", "trl_gibibytes"))
        table.add_row(str(number), f"{r['ours']:.3g}", f"{r['trl']:.3g}", f"{r['ours'] / r['trl']:.2f}", *memory)
    table.add_row("median", f"{ours:.3g}", f"{trl:.3g}", f"{ratio:.2f}")
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__, "dtype": "float32"}
    result = {"ours": round(ours, 3), "trl": round(trl, 3), "ratio": round(ratio, 3), "rounds": rounds}
    OUT.write_text(json.dumps({**result, "settings": settings}, indent=1) + "\n")


if __name__ == "__main__":
    main()
