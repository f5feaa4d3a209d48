"""``make bench-grpo``: completions per second of GRPO training, here and in TRL's GRPOTrainer, on the same policy.

A step is a rollout of B completions in groups of G, a trivial reward, and one optimizer step on all of them. Both
train all weights but the vision tower's, kept in 32-bit floats, with AdamW, on the same pictures and threads, with
completions of the same length. TRL gets its best settings: no gradient checkpointing, no reference, no logging, and
the fastest of several micro-batch sizes. Both run on the GPU where there is one; ``--precision bf16-mixed`` pays there,
on a CPU it is slower. Rounds alternate; a round's time per step is the median over its steps; no prompt repeats.

Every completion has exactly T tokens: the end-of-turn token joins the tokens that no completion may hold. Here the
policy itself says which those are, to the engine and to the learner alike, so the importance ratio of a fresh sample
stays 1. TRL suppresses the same tokens in ``generate``; its first update takes its own log-probs as the old ones.

``bound``: seconds of one plain forward and backward of the Hugging Face model, over as many tokens and with a copy of
the prompt in every row as TRL has it, divided by the seconds of our whole step. A trainer with a free rollout and no
sharing would reach 1. It is no hard limit: reading a prompt once per group makes our update cheaper than that.

Writes runs/bench/grpo.json: ``ours`` and ``trl`` in completions per second, ``ratio``, ``processor_ratio`` (the same in
processor seconds, which other programs on the machine disturb less), ``bound``, ``breakdown`` in seconds per step,
``rounds``, ``settings``.
"""

import argparse
import json
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

from algorithms import Prompt
from cli.app import run
from datamodules import ShapesFolder
from datamodules.rows.prompt_rows import read_prompts
from experiments.speed.clock import WARM_UP, StepClock, now
from experiments.speed.endless import EndlessPolicy, checksum
from experiments.speed.mpo import fresh_policy, plain_copy
from models.reading.prompt_encoder import left_pad

OUT = Path("runs/bench/grpo.json")
LEARNING_RATE = 1e-5


class StepParts(Callback):
    """Measures what a step of ours calls."""

    def __init__(self) -> None:
        """Start without times."""
        self.clock = StepClock()

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Put a clock around every part."""
        timed = self.clock.timed
        pl_module.engine.generate = timed("sample", pl_module.engine.generate)
        pl_module.reward = timed("reward", pl_module.reward)
        trainer.datamodule.exchange = timed("exchange", trainer.datamodule.exchange)
        pl_module.training_step = timed("forward", pl_module.training_step)
        pl_module.backward = timed("backward", pl_module.backward)
        pl_module.optimizer_step = timed("optimizer", pl_module.optimizer_step)

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Note the time."""
        self.clock.end_step()

    @property
    def parts(self) -> dict[str, float]:
        """Median seconds per step of each part."""
        parts = {name: self.clock.part(name) for name in ("sample", "reward", "exchange", "forward", "backward")}
        # Lightning runs forward and backward inside of the optimizer's step.
        return parts | {"optimizer": self.clock.part("optimizer", without=("forward", "backward"))}


Measured = dict[str, Any]
"""``step`` and ``processor_step`` in seconds, and the ``parts`` of the former."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=None, help="folder of a policy; default: a fresh tiny one")
    parser.add_argument("--completions", type=int, default=256, help="B, per step")
    parser.add_argument("--group-size", type=int, default=8, help="G")
    parser.add_argument("--tokens", type=int, default=24, help="T, of every completion")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true", help="of both trainers")
    parser.add_argument("--trl-micro-batches", type=int, nargs="+", default=[32, 64, 256], help="TRL gets the fastest")
    parser.add_argument("--steps", type=int, default=12, help=f"steps of a round; the first {WARM_UP} are not counted")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        policy = plain_copy(options.policy or fresh_policy(Path(root)), Path(root) / "policy")
        num_prompts = options.steps * options.completions // options.group_size
        folder = ShapesFolder(num_train=num_prompts, num_val=1, num_test=1, root=root)
        folder.prepare()
        sweep = {size: measure_trl(policy, folder, options, size)["step"] for size in options.trl_micro_batches}
        best = min(sweep, key=lambda size: sweep[size])
        rounds = []
        for _ in range(options.rounds):
            ours = measure_ours(policy, folder, options)
            trl = measure_trl(policy, folder, options, best)
            rounds.append({"ours": ours, "trl": trl, "bare": bare_update(policy, folder, options)})
    report(rounds, {**vars(options), "trl_micro_batch": best, "trl_sweep_seconds": sweep})


def measured(clock: StepClock, parts: dict[str, float]) -> Measured:
    """Return the times of a step, with the rest that no part accounts for."""
    parts = {**parts, "rest": clock.step - sum(parts.values())}
    return {"step": clock.step, "processor_step": clock.processor_step, "parts": parts}


def measure_ours(policy: str, folder: ShapesFolder, options: argparse.Namespace) -> Measured:
    """Return seconds per step of this project's GRPO by part, through its own trainer and data module."""
    flags = [*our_flags(policy, folder, options), "--callbacks.parts=experiments.speed.grpo.StepParts"]
    trainer: Any = run(flags).trainer
    # By name: run as a script, this file's classes are not those that the configuration names.
    parts = next(callback for callback in trainer.callbacks if type(callback).__name__ == "StepParts")
    return measured(parts.clock, parts.parts)


def our_flags(policy: str, folder: ShapesFolder, options: argparse.Namespace) -> list[str]:
    """Return the command line of a run in which every step is a rollout and one optimizer step on all of it."""
    part = {"accuracy": {"reward": {"class_path": "experiments.speed.endless.ChecksumReward"}, "weight": 1.0}}
    return [
        "fit", "--config=configs/tiny/grpo.yaml", "--model.init_args.policy=experiments.speed.endless.EndlessPolicy",
        f"--model.init_args.policy.init_args.path={policy}", "--data.init_args.source=datamodules.PromptFolder",
        f"--data.init_args.source.init_args.path={folder.path}",
        # Else the data module reads every picture before the first step, to know the prompts' lengths.
        "--data.init_args.reading.max_prompt_tokens=null",
        f"--data.init_args.prompts_per_rollout={options.completions // options.group_size}",
        "--data.init_args.micro_batches=1", f"--model.init_args.sampling.group_size={options.group_size}",
        f"--model.init_args.reward.init_args.parts={json.dumps(part)}",
        f"--model.init_args.engine.init_args.max_rows={options.completions}",
        f"--model.init_args.sampling.max_new_tokens={options.tokens}", "--model.init_args.judge=null",
        f"--model.init_args.learning.optimizer.learning_rate={LEARNING_RATE}", f"--trainer.max_steps={options.steps}",
        "--trainer.accelerator=auto", f"--trainer.precision={options.precision}",
        f"--trainer.default_root_dir={Path(policy).parent}", "--trainer.limit_val_batches=0", "--trainer.logger=false",
        "--trainer.log_every_n_steps=1000000", "--trainer.enable_progress_bar=false", "--callbacks.progress=null",
        "--callbacks.layout=null", "--callbacks.completions=null", "--callbacks.predictions=null",
    ]  # fmt: skip


def measure_trl(policy: str, folder: ShapesFolder, options: argparse.Namespace, micro_batch: int) -> Measured:
    """Return seconds per step of TRL's GRPOTrainer by part."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    clock = StepClock()

    class Times(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock.end_step()

    def reward(completions: list[Any], **kwargs: Any) -> list[float | None]:
        return [checksum(turns[0]["content"]) for turns in completions]

    model: Any = AutoModelForImageTextToText.from_pretrained(policy, dtype=torch.float32)
    model.model.vision_tower.requires_grad_(False)
    model.generate = clock.timed("generate", model.generate)
    with tempfile.TemporaryDirectory() as output:
        settings = GRPOConfig(
            output_dir=output, use_cpu=not torch.cuda.is_available(),
            bf16=options.precision == "bf16-mixed", gradient_checkpointing=False, report_to="none",
            per_device_train_batch_size=micro_batch, gradient_accumulation_steps=options.completions // micro_batch,
            num_generations=options.group_size, max_completion_length=options.tokens, temperature=1.0, top_k=0,
            top_p=1.0, generation_kwargs={"suppress_tokens": EndlessPolicy(policy).build().banned_token_ids.tolist()},
            beta=0.0, save_strategy="no", logging_steps=10**6, disable_tqdm=True, max_steps=options.steps,
            learning_rate=LEARNING_RATE, lr_scheduler_type="constant", optim="adamw_torch", max_grad_norm=1.0,
            dataloader_num_workers=0,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=settings,
            train_dataset=trl_dataset(folder),
            processing_class=AutoProcessor.from_pretrained(policy, padding_side="left"),
            callbacks=[Times()],
        )
        roll_out = "_generate_and_score_completions"
        setattr(trainer, roll_out, clock.timed("roll out", getattr(trainer, roll_out)))
        trainer.train()
    prepare = clock.part("roll out", without=("generate",))
    return measured(clock, {"generate": clock.part("generate"), "prepare and score": prepare})


def trl_dataset(folder: ShapesFolder) -> Any:
    """Return the prompts in the columns that TRL reads."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "images": [image.load() for image in prompt.images],
                "prompt": [{"role": "user", "content": prompt.question.replace("<image>", "").strip()}],
            }
            for prompt in prompts_of(folder)
        ]
    )


def prompts_of(folder: ShapesFolder) -> tuple[Prompt, ...]:
    """Return the training prompts."""
    return read_prompts(folder.split_file("train"), folder.folder, max_image_pixels=10**6).prompts


def bare_update(policy: str, folder: ShapesFolder, options: argparse.Namespace) -> float:
    """Return seconds of a plain forward and backward of the model over the tokens of one step."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = EndlessPolicy(policy).build().train().to(device)
    loaded.model.model.vision_tower.requires_grad_(False)
    prompts = prompts_of(folder)[: options.completions // options.group_size]
    pixels = torch.cat([loaded.encoder.encode(prompt).vision["pixel_values"] for prompt in prompts])
    ids, is_prompt = left_pad([loaded.encoder.encode(prompt).token_ids for prompt in prompts], loaded.pad_token_id)
    completion = torch.full((options.completions, options.tokens), ids[0, -1].item())  # any text takes the same time
    rows = torch.arange(len(prompts)).repeat_interleave(options.group_size)
    inputs = {
        "input_ids": torch.cat([ids[rows], completion], dim=1),
        "attention_mask": torch.cat([is_prompt[rows], torch.ones_like(completion, dtype=torch.bool)], dim=1).long(),
        "pixel_values": pixels[rows],
    }
    inputs, completion = {name: tensor.to(device) for name, tensor in inputs.items()}, completion.to(device)
    sizes = options.trl_micro_batches
    with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16-mixed"):
        return min(timed_update(loaded.model, inputs, completion, size) for size in sizes for _ in range(3))


def timed_update(model: Any, inputs: dict[str, torch.Tensor], completion: torch.Tensor, micro_batch: int) -> float:
    """Return seconds of the cross-entropy of the completions and its gradient, in micro-batches."""
    model.zero_grad()
    started = now()
    for start in range(0, len(completion), micro_batch):
        part = slice(start, start + micro_batch)
        rows = {name: tensor[part] for name, tensor in inputs.items()}
        logits = model(**rows, use_cache=False, logits_to_keep=completion.shape[1] + 1).logits[:, :-1]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), completion[part].flatten()).backward()
    return now() - started


def report(rounds: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Print and write the result."""
    completions = settings["completions"]
    table = Table(title="GRPO training, completions per second")
    for heading in ("round", "ours", "TRL", "ratio", "in processor time", "bare update / our step"):
        table.add_column(heading, justify="right")
    rows = [
        (
            completions / r["ours"]["step"],
            completions / r["trl"]["step"],
            r["trl"]["step"] / r["ours"]["step"],
            r["trl"]["processor_step"] / r["ours"]["processor_step"],
            r["bare"] / r["ours"]["step"],
        )
        for r in rounds
    ]
    medians = tuple(statistics.median(column) for column in zip(*rows, strict=True))
    for name, row in [*enumerate(rows), ("median", medians)]:
        table.add_row(str(name), *(f"{speed:.0f}" for speed in row[:2]), *(f"{ratio:.2f}" for ratio in row[2:]))
    Console().print(table)
    breakdown = {side: median_parts([r[side]["parts"] for r in rounds]) for side in ("ours", "trl")}
    for side, parts in breakdown.items():
        Console().print(f"{side}, ms per step: " + ", ".join(f"{name} {1000 * s:.0f}" for name, s in parts.items()))
    settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if torch.cuda.is_available():
        settings["device"] = torch.cuda.get_device_name()
    names = ("ours", "trl", "ratio", "processor_ratio", "bound")
    result = {name: round(value, 3) for name, value in zip(names, medians, strict=True)}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(
        json.dumps({**result, "breakdown": breakdown, "rounds": rounds, "settings": settings}, indent=1) + "\n"
    )


def median_parts(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of every part over rounds."""
    return {name: statistics.median(parts[name] for parts in rounds) for name in rounds[0]}


if __name__ == "__main__":
    main()
