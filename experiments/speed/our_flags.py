"""The command line of our runs in the benchmarks of GRPO: every completion of one length, one step to a rollout."""

import argparse
import json
from pathlib import Path

from datamodules import ShapesFolder

LEARNING_RATE = 1e-5


def our_flags(policy: str, folder: ShapesFolder, options: argparse.Namespace, *, micro_batches: int = 1) -> list[str]:
    """Return the command line of a run in which every step is a rollout and one optimizer step on all of it.

    Args:
        policy: folder of the policy; what the run writes lies beside it.
        folder: the prompts.
        options: ``completions``, ``group_size``, ``tokens``, ``steps``, ``precision`` and ``recompute``.
        micro_batches: forwards of a step, each on as many of its samples.
    """
    part = {"accuracy": {"reward": {"class_path": "experiments.speed.endless.ChecksumReward"}, "weight": 1.0}}
    return [
        "fit", "--config=configs/tiny/grpo.yaml", "--model.init_args.policy=experiments.speed.endless.EndlessPolicy",
        f"--model.init_args.policy.init_args.path={policy}", "--data.init_args.source=datamodules.PromptFolder",
        f"--data.init_args.source.init_args.path={folder.path}",
        # Else the data module reads every picture before the first step, to know the prompts' lengths.
        "--data.init_args.reading.max_prompt_tokens=null",
        f"--data.init_args.prompts_per_rollout={options.completions // options.group_size}",
        f"--data.init_args.micro_batches={micro_batches}", f"--trainer.accumulate_grad_batches={micro_batches}",
        f"--model.init_args.sampling.group_size={options.group_size}",
        f"--model.init_args.reward.init_args.parts={json.dumps(part)}",
        f"--model.init_args.engine.init_args.max_rows={options.completions}",
        f"--model.init_args.sampling.max_new_tokens={options.tokens}", "--model.init_args.judge=null",
        f"--model.init_args.learning.optimizer.learning_rate={LEARNING_RATE}", f"--trainer.max_steps={options.steps}",
        f"--model.init_args.learning.recompute_activations={str(options.recompute).lower()}",
        "--trainer.accelerator=auto", f"--trainer.precision={options.precision}",
        f"--trainer.default_root_dir={Path(policy).parent}", "--trainer.limit_val_batches=0", "--trainer.logger=false",
        "--trainer.log_every_n_steps=1000000", "--trainer.enable_progress_bar=false", "--callbacks.progress=null",
        "--callbacks.layout=null", "--callbacks.completions=null", "--callbacks.predictions=null",
    ]  # fmt: skip
