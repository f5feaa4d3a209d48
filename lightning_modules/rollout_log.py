"""What is logged about a rollout and the batch made of it. docs/metrics.md explains every key."""

from collections.abc import Sequence

import torch

from algorithms import ClaimGrammar, ExperienceBatch, effective_groups
from lightning_modules.evaluation import judge
from rollouts import RolloutPhase


def rollout_metrics(phase: RolloutPhase, grammar: ClaimGrammar | None, *, seconds: float) -> dict[str, float]:
    """Return the means over one rollout."""
    rollouts = phase.rollouts
    lengths = torch.tensor([float(len(r.completion.token_ids)) for r in rollouts])
    values = {
        "rollout/reward": phase.rewards.mean().item(),
        "rollout/reward_std_within_group": phase.rewards.std(dim=1, correction=0).mean().item(),
        "rollout/effective_fraction": effective_groups(phase.rewards).float().mean().item(),
        "rollout/completion_tokens": lengths.mean().item(),
        "rollout/truncated_fraction": sum(r.completion.finish_reason == "length" for r in rollouts) / len(rollouts),
        "rollout/failed_scores": float(sum(phase.num_failures.values())),
        "time/rollout_seconds": seconds,
        "time/rollout_tokens_per_second": lengths.sum().item() / max(seconds, 1e-9),
    }
    for name in rollouts[0].reward_parts:
        if len(scores := phase.part(name)):
            values[f"rollout/{name}"] = scores.mean().item()
    if grammar is not None:
        prompts = [group.prompt for group in phase.groups]
        claims = judge(prompts, [[r.completion for r in group.rollouts] for group in phase.groups], grammar)
        flat = [claim.is_supported for completion in claims for claim in completion]
        if flat:
            values["rollout/hallucination_rate"] = 1.0 - sum(flat) / len(flat)
    return values


def batch_metrics(micro_batches: Sequence[ExperienceBatch], policy_version: int) -> dict[str, float]:
    """Return what the batch that follows a rollout is made of."""
    is_replay = torch.cat([batch.is_replay for batch in micro_batches])
    ages = policy_version - torch.cat([batch.policy_versions for batch in micro_batches])
    values = {"buffer/batch_samples": float(len(is_replay))}
    if len(is_replay):
        values["buffer/replay_fraction"] = is_replay.float().mean().item()
    if is_replay.any():
        values["buffer/replay_age"] = ages[is_replay].float().mean().item()
    return values
