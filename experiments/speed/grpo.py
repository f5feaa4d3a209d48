"""``make bench-grpo``: completions per second of GRPO training, here and in TRL's GRPOTrainer, on the same policy.

A step is a rollout of B completions in groups of G, a trivial reward, and one optimizer step on all of them. Both
train all weights but the vision tower's, kept in 32-bit floats, with AdamW, on the same pictures and threads, with
completions of the same length. Both get the fastest of several micro-batch sizes, in processor time: on a CPU it is
smaller than what memory allows. TRL gets its best settings besides: no reference, no logging, and gradient
checkpointing only with ``--recompute``, where both compute activations again in backward. Both run on the GPU where
there is one; ``--precision bf16-mixed`` pays there, on a CPU it is slower. Rounds alternate; a round's time per step is
the median over its steps; no prompt repeats.

Every completion has exactly T tokens: the end-of-turn token joins the tokens that no completion may hold. Here the
policy itself says which those are, to the engine and to the learner alike, so the importance ratio of a fresh sample
stays 1. TRL suppresses the same tokens in ``generate``; its first update takes its own log-probs as the old ones.

``bound``: seconds of one plain forward and backward of the Hugging Face model, over as many tokens and with a copy of
the prompt in every row as TRL has it, divided by the seconds of our whole step. A trainer with a free rollout and no
sharing would reach 1. It is no hard limit: reading a prompt once per group makes our update cheaper than that.
``--bare 0`` leaves it out.

``update_tokens``: what our language model reads in the forward of an update, beside ``unique_tokens``, every prompt and
every completion once, and ``copied_tokens``, with a prompt in every row.

Writes runs/bench/grpo.json: ``ours`` and ``trl`` in completions per second, ``ratio``, ``processor_ratio`` (the same in
processor seconds, which other programs on the machine disturb less), ``bound``, tokens, ``gibibytes`` and
``trl_gibibytes`` at the peak of a run, ``breakdown`` in seconds per step, ``rounds``, ``settings``.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
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
from experiments.speed.bare import bare_update
from experiments.speed.clock import WARM_UP, StepClock, forget_peak, peak_gibibytes
from experiments.speed.endless import EndlessPolicy, checksum
from experiments.speed.our_flags import LEARNING_RATE, our_flags
from experiments.speed.subjects import fresh_policy, lengthen, plain_copy, prompts_in

OUT = Path("runs/bench/grpo.json")


class StepParts(Callback):
    """Measures what a step of ours calls."""

    def __init__(self, warm_up: int = WARM_UP) -> None:
        """Start without times; the first steps are not counted."""
        self.clock = StepClock(warm_up)
        self.read_tokens = 0
        """Of the language model in the forwards of the latest update, padding included."""
        self._reading = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Put a clock around every part."""
        decoder = pl_module.loaded_policy.model.get_decoder()
        decoder.register_forward_hook(self._count)
        timed = self.clock.timed
        pl_module.engine.generate = timed("sample", pl_module.engine.generate)
        pl_module.reward = timed("reward", pl_module.reward)
        trainer.datamodule.exchange = timed("exchange", trainer.datamodule.exchange)
        pl_module.training_step = timed("forward", pl_module.training_step)
        pl_module.backward = timed("backward", pl_module.backward)
        pl_module.optimizer_step = timed("optimizer", pl_module.optimizer_step)

    def on_train_start(self, *args: Any, **kwargs: Any) -> None:
        """Note when the first step begins."""
        self.clock.end_step()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time of an optimizer step."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.clock.end_step()
            self.read_tokens, self._reading = self._reading, 0

    def _count(self, module: Any, args: Any, out: Any) -> None:
        # Sampling reads without gradients.
        self._reading += out.last_hidden_state.shape[:2].numel() * torch.is_grad_enabled()

    @property
    def parts(self) -> dict[str, float]:
        """Median seconds per step of each part."""
        parts = {name: self.clock.totals(name) for name in ("sample", "reward", "exchange", "forward", "backward")}
        # Lightning runs the last forward and backward inside of the optimizer's step.
        return parts | {"optimizer": self.clock.part("optimizer", without=("forward", "backward"))}


Measured = dict[str, Any]
"""``step`` and ``processor_step`` in seconds, the ``parts`` of the former, ``gibibytes`` at the peak."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default=None, help="folder of a policy; default: a fresh tiny one")
    parser.add_argument("--language-model", default=None, help="of the fresh one: a folder or wheel:PACKAGE")
    parser.add_argument("--prompt-tokens", type=int, default=None, help="of every prompt; default: as drawn, about 40")
    parser.add_argument("--recompute", action="store_true", help="both compute activations again in backward")
    parser.add_argument("--bare", type=int, default=3, help="how often the plain update is measured in a round")
    parser.add_argument("--completions", type=int, default=256, help="B, per step")
    parser.add_argument("--group-size", type=int, default=8, help="G")
    parser.add_argument("--tokens", type=int, default=24, help="T, of every completion")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true", help="of both trainers")
    parser.add_argument("--our-micro-batches", type=int, nargs="+", default=[1, 2, 4], help="forwards of our step")
    parser.add_argument(
        "--trl-micro-batches", type=int, nargs="+", default=[32, 64, 256], help="rows of a forward of TRL"
    )
    parser.add_argument("--steps", type=int, default=12, help="of a round")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="first steps that are not counted")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as root:
        policy = plain_copy(options.policy or fresh_policy(Path(root), options.language_model), Path(root) / "policy")
        num_prompts = options.steps * options.completions // options.group_size
        folder = ShapesFolder(num_train=num_prompts, num_val=1, num_test=1, root=root)
        folder.prepare()
        if options.prompt_tokens is not None:
            lengthen(folder.split_file("train"), lambda: prompts_of(folder), policy, options.prompt_tokens)
        sweeps = {
            "our": sweep(options.our_micro_batches, lambda n: measure_ours(policy, folder, options, n)),
            "trl": sweep(options.trl_micro_batches, lambda size: measure_trl(policy, folder, options, size)),
        }
        best = {side: min(seconds, key=lambda size: seconds[size]) for side, seconds in sweeps.items()}
        rounds = []
        for _ in range(options.rounds):
            ours = measure_ours(policy, folder, options, best["our"])
            trl = measure_trl(policy, folder, options, best["trl"])
            prompts = prompts_of(folder)[: options.completions // options.group_size]
            bare = bare_update(policy, prompts, options) if options.bare else None
            rounds.append({"ours": ours, "trl": trl, "bare": bare})
        tokens = token_counts(policy, prompts_of(folder), options)
    chosen = {f"{side}_micro_batch": size for side, size in best.items()}
    report(rounds, {**vars(options), **chosen, "sweep_processor_seconds": sweeps}, tokens)


def sweep(sizes: Sequence[int], measure: Callable[[int], Measured]) -> dict[int, float]:
    """Return the processor seconds of a step by micro-batch; where there is one size, nothing is measured."""
    return {size: measure(size)["processor_step"] if len(sizes) > 1 else 0.0 for size in sizes}


def token_counts(policy: str, prompts: Sequence[Prompt], options: argparse.Namespace) -> dict[str, int]:
    """Return the tokens of the last step: every text once, and with a prompt in every row."""
    encoder = EndlessPolicy(policy).build().encoder
    last = prompts[-(options.completions // options.group_size) :]
    prompt_tokens, answers = sum(encoder.length(prompt) for prompt in last), options.completions * options.tokens
    return {"unique_tokens": prompt_tokens + answers, "copied_tokens": prompt_tokens * options.group_size + answers}


def measured(clock: StepClock, parts: dict[str, float]) -> Measured:
    """Return the times of a step, with the rest that no part accounts for."""
    parts = {**parts, "rest": clock.step - sum(parts.values())}
    times = {"step": clock.step, "processor_step": clock.processor_step, "parts": parts}
    return times | {"gibibytes": peak_gibibytes()}


def measure_ours(policy: str, folder: ShapesFolder, options: argparse.Namespace, micro_batches: int = 1) -> Measured:
    """Return seconds per step of this project's GRPO by part, through its own trainer and data module."""
    step_parts = "--callbacks.parts=experiments.speed.grpo.StepParts"
    flags = [
        *our_flags(policy, folder, options, micro_batches=micro_batches),
        step_parts,
        f"--callbacks.parts.warm_up={options.warm_up}",
    ]
    forget_peak()
    trainer: Any = run(flags).trainer
    # By name: run as a script, this file's classes are not those that the configuration names.
    parts = next(callback for callback in trainer.callbacks if type(callback).__name__ == "StepParts")
    return measured(parts.clock, parts.parts) | {"update_tokens": parts.read_tokens}


def measure_trl(policy: str, folder: ShapesFolder, options: argparse.Namespace, micro_batch: int) -> Measured:
    """Return seconds per step of TRL's GRPOTrainer by part."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    forget_peak()
    clock = StepClock(options.warm_up)

    class Times(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            clock.end_step()

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
            bf16=options.precision == "bf16-mixed", gradient_checkpointing=options.recompute, report_to="none",
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
    return prompts_in(folder.split_file("train"), folder.folder)


def report(rounds: list[dict[str, Any]], settings: dict[str, Any], tokens: dict[str, int]) -> None:
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
            math.nan if r["bare"] is None else r["bare"] / r["ours"]["step"],
        )
        for r in rounds
    ]
    medians = tuple(statistics.median(column) for column in zip(*rows, strict=True))
    for name, row in [*enumerate(rows), ("median", medians)]:
        table.add_row(str(name), *(f"{speed:.3g}" for speed in row[:2]), *(f"{ratio:.2f}" for ratio in row[2:]))
    Console().print(table)
    breakdown = {side: median_parts([r[side]["parts"] for r in rounds]) for side in ("ours", "trl")}
    for side, parts in breakdown.items():
        Console().print(f"{side}, ms per step: " + ", ".join(f"{name} {1000 * s:.0f}" for name, s in parts.items()))
    settings |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    if torch.cuda.is_available():
        settings["device"] = torch.cuda.get_device_name()
    names = ("ours", "trl", "ratio", "processor_ratio", "bound")
    # JSON has no NaN.
    result: dict[str, Any] = {
        name: None if math.isnan(value) else round(value, 3) for name, value in zip(names, medians, strict=True)
    }
    result |= {"update_tokens": rounds[-1]["ours"]["update_tokens"], **tokens}
    result |= {"gibibytes": rounds[-1]["ours"]["gibibytes"], "trl_gibibytes": rounds[-1]["trl"]["gibibytes"]}
    Console().print(", ".join(f"{name} {result[name]}" for name in list(result)[len(names) :]))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(
        json.dumps({**result, "breakdown": breakdown, "rounds": rounds, "settings": settings}, indent=1) + "\n"
    )


def median_parts(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of every part over rounds."""
    return {name: statistics.median(parts[name] for parts in rounds) for name in rounds[0]}


if __name__ == "__main__":
    main()
