"""Runs by name, and what they are made of. ``root`` holds the folder ``policy`` and receives everything written."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from algorithms import Completion, Prompt, position_generator
from rollouts import RolloutEngine, SamplingConfig
from tests.test_mpo_training import arguments as mpo_arguments
from tests.test_training import arguments as grpo_arguments

FSDP2, DDP = "--config=configs/hardware/cpu2.yaml", "--config=configs/hardware/ddp.yaml"
_FOUR_STEPS = (
    "--trainer.max_steps=4",
    "--trainer.limit_val_batches=0",
    "--model.init_args.learning.optimizer.cosine=false",
)


class ScriptedEngine(RolloutEngine):
    """Says for every prompt what chance has fixed for it, whatever the policy: the same on one rank and on many."""

    def sync(self, policy: Any, *, version: int) -> None:
        """Nothing to learn from the policy but how to write tokens."""
        self.policy = policy

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        return [[self._say(prompt, i) for i in range(sampling.group_size)] for prompt in prompts]

    def _say(self, prompt: Prompt, number: int) -> Completion:
        chance = position_generator(0, "script", prompt.uid, number)
        ids = torch.randint(10, 40, (int(torch.randint(1, 9, (), generator=chance)),), generator=chance)
        text = self.policy.encoder.tokenizer.decode(ids)
        return Completion(token_ids=ids, behavior_logps=torch.full((len(ids),), -4.0), text=text, finish_reason="stop")


class OnlyTheFirstRankMayDiffer:
    """Scores on all other ranks tie, so that no sample of theirs is effective."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        is_first = os.environ.get("LOCAL_RANK", "0") == "0"
        return [float(is_first and int(c.token_ids.sum()) % 2 == 0) for c in completions]


def mpo(root: Path, *flags: str) -> list[str]:
    """MPO on 8 pairs a step: two ranks take 4 each."""
    share = f"--data.init_args.pairs_per_batch={4 if _two(flags) else 8}"
    return mpo_arguments(root / "policy", *_FOUR_STEPS, share, *flags)


def grpo(root: Path, *flags: str) -> list[str]:
    """GRPO with everything that talks to other ranks: replay, KL to a copy, learner's own log-probs, token mean."""
    return grpo_arguments(
        "fit", root / "policy", "--trainer.max_steps=4", "--trainer.val_check_interval=4",
        "--data.init_args.prompts_per_rollout=2", "--callbacks.recorder=tests.test_training.Recorder",
        "--model.init_args.grpo.kl_weight=0.01", "--model.init_args.grpo.engine_ratio_cap=2.0",
        "--model.init_args.grpo.average=token", *flags,
    )  # fmt: skip


def scripted(root: Path, *flags: str) -> list[str]:
    """GRPO on 4 prompts a step, whose completions do not depend on ranks."""
    return grpo_arguments(
        "fit", root / "policy", *_FOUR_STEPS, "--model.init_args.engine=tests.distributed.scenarios.ScriptedEngine",
        f"--data.init_args.prompts_per_rollout={2 if _two(flags) else 4}", "--data.init_args.micro_batches=1",
        "--data.init_args.buffer.capacity=0", "--callbacks.recorder=tests.test_training.Recorder", *flags,
    )  # fmt: skip


def saved(root: Path, name: str, steps: int = 2) -> list[str]:
    """Stop after some steps and leave a checkpoint ``NAME/step=STEPS.ckpt``."""
    return [
        f"--trainer.max_steps={steps}", "--trainer.enable_checkpointing=true",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", f"--callbacks.checkpoint.dirpath={root / name}",
        f"--callbacks.checkpoint.every_n_train_steps={steps}",
    ]  # fmt: skip


def resumed(root: Path, name: str, steps: int = 2) -> str:
    """Go on from it."""
    return f"--ckpt_path={root / name}/step={steps}.ckpt"


def _two(flags: Sequence[str]) -> bool:
    return any("configs/hardware" in flag for flag in flags)


FULL = "--trainer.strategy.init_args.sharded_checkpoints=false"
NO_RANDOM_STATE = "--callbacks.random_state=null"
COPY = "--model.init_args.reference=lightning_modules.FrozenCopyReference"
BF16 = ("--trainer.strategy.init_args.param_dtype=bfloat16", "--trainer.strategy.init_args.frozen_dtype=bfloat16")
LORA = ("--model.init_args.learning.lora={rank: 2, alpha: 4}", "--model.init_args.learning.trainable=[]")

Scenario = Callable[[Path], list[str]]
SCENARIOS: dict[str, Scenario] = {
    "mpo_ddp": lambda root: mpo(root, DDP),
    "mpo_fsdp2": lambda root: mpo(root, FSDP2, f"--callbacks.export.folder={root / 'export'}"),
    "mpo_validated": lambda root: mpo(root, FSDP2, COPY, "--model.init_args.pairs_per_forward=2",
                                      "--trainer.limit_val_batches=1.0", "--data.init_args.reading.batch_size=2",
                                      "--data.init_args.source.num_val=5"),
    "mpo_copy": lambda root: mpo(root, FSDP2, COPY, "--model.init_args.pairs_per_forward=3"),
    "mpo_recomputed": lambda root: mpo(root, FSDP2, "--model.init_args.learning.recompute_activations=true"),
    "mpo_adapter": lambda root: mpo(root, FSDP2, "--model.init_args.learning.trainable=[adapter]",
                                    "--model.init_args.learning.recompute_activations=true"),
    "mpo_lora": lambda root: mpo(root, FSDP2, *LORA, "--model.init_args.reference=lightning_modules.LoRAOffReference"),
    "scripted_ddp": lambda root: scripted(root, DDP),
    "scripted_fsdp2": lambda root: scripted(root, FSDP2),
    "scripted_recomputed": lambda root: scripted(root, FSDP2, "--model.init_args.learning.recompute_activations=true"),
    "grpo_bf16": lambda root: grpo(root, FSDP2, *BF16),
    "grpo_ddp": lambda root: grpo(root, DDP),
    "grpo_fsdp2": lambda root: grpo(root, FSDP2),
    "idle_ddp": lambda root: grpo(root, DDP, *IDLE),
    "idle_fsdp2": lambda root: grpo(root, FSDP2, *IDLE),
    # Within a rollout, whose images are then read again.
    "grpo_half": lambda root: grpo(root, FSDP2, *saved(root, "sharded", steps=3)),
    "grpo_resumed": lambda root: grpo(root, FSDP2, resumed(root, "sharded", steps=3)),
    "mpo_half_full": lambda root: mpo(root, FSDP2, FULL, NO_RANDOM_STATE, *saved(root, "full")),
    "mpo_half_ddp": lambda root: mpo(root, DDP, *saved(root, "ddp")),
    "mpo_ddp_to_fsdp2": lambda root: mpo(root, FSDP2, resumed(root, "ddp")),
    "ahead_ddp": lambda root: grpo(root, DDP, *AHEAD),
    "ahead_half": lambda root: grpo(root, DDP, *AHEAD, *saved(root, "ahead", steps=3)),
    "ahead_resumed": lambda root: grpo(root, DDP, *AHEAD, resumed(root, "ahead", steps=3)),
    "signals": lambda root: grpo(root, FSDP2, *WATCHED),
    "blind_ddp": lambda root: scripted(root, DDP, *BLIND),
    "blind_fsdp2": lambda root: scripted(root, FSDP2, *BLIND),
    "uneven": lambda root: grpo(root, FSDP2, "--data.init_args.source.num_val=5",
                             "--data.init_args.reading.batch_size=2"),
    "unequal": lambda root: grpo(root, FSDP2, "--data.init_args.source.num_val=5",
                             "--data.init_args.reading.batch_size=1"),
}  # fmt: skip
# A rollout in flight on every rank.
AHEAD = (
    "--model.init_args.engine=experiments.ahead.slow_engine.SlowEngine",
    "--model.init_args.rollouts_ahead=1",
    "--trainer.max_steps=6",
)
_VLLM = ("--model.engine.settings.max_model_len=128", "--model.engine.settings.cache_megabytes=64")
# These need vLLM.
VLLM_SCENARIOS: dict[str, Scenario] = {
    f"{engine}_{name}": lambda root, engine=engine, strategy=strategy: grpo(
        root, strategy, f"--config=configs/engines/{engine}.yaml", *_VLLM
    )
    for engine, name, strategy in (("vllm", "ddp", DDP), ("vllm", "fsdp2", FSDP2), ("vllm_server", "fsdp2", FSDP2))
}
# A monitor that all ranks sample for, and a calibrator that acts on what it says, whatever that is.
WATCHED = (
    "--callbacks.hallucination=callbacks.HallucinationMonitor",
    "--callbacks.hallucination.probes.num_probes=5",
    "--callbacks.hallucination.every_n_steps=1",
    "--callbacks.hallucination.probes.num_samples=2",
    "--model.init_args.reward.parts.length.reward=tests.test_exact_resume.Length",
    "--model.init_args.reward.parts.length.weight=0.1",
    "--model.init_args.reward.parts.length.scaling=rewards.RunningZScore",
)
# An odd number of probes: one rank asks one more than the other.
BLIND = (
    "--callbacks.blind=callbacks.BlindProbes",
    "--callbacks.blind.num_probes=5",
    "--callbacks.blind.every_n_steps=2",
)
IDLE = ("--model.init_args.reward.parts.even.reward=tests.distributed.scenarios.OnlyTheFirstRankMayDiffer",
        "--data.init_args.buffer.capacity=0")  # fmt: skip
