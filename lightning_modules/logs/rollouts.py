"""Metrics of a rollout, of the batch made from it, and of a GRPO step. docs/metrics.md explains every key.

Shapes: P prompts, G completions per prompt, B samples, T completion tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from algorithms import ExperienceBatch, GRPOConfig, GRPOOutput, effective_groups
from hallucination import claim_counts, judged_completions
from rewards import Reason
from rollouts import RolloutEngine, RolloutPhase


def rollout_metrics(phase: RolloutPhase, *, tolerance: float, seconds: float) -> dict[str, float]:
    """Return the means over one rollout.

    Args:
        phase: the scored completions.
        tolerance: largest difference of rule rewards within a group that is not effective.
        seconds: time of sampling, scoring and exchange.
    """
    lengths = phase.lengths.float()  # (P, G)
    known = phase.rewards[phase.is_known]  # (number of known rewards,)
    values = {
        "rollout/unknown_fraction": 1.0 - len(known) / max(phase.rewards.numel(), 1),
        "rollout/reward_std_within_group": _std_within_group(phase.rewards),
        "rollout/effective_fraction": effective_groups(phase.rule_rewards, tolerance=tolerance).float().mean().item(),
        "rollout/effective_fraction_total": effective_groups(phase.rewards).float().mean().item(),
        "rollout/completion_tokens": lengths.mean().item(),
        "rollout/truncated_fraction": phase.is_truncated.float().mean().item(),
        "rollout/failed_scores": float(sum(phase.scores.num_failures.values())),
        **{f"rollout/failed_{name}": float(count) for name, count in phase.scores.num_failures.items()},
        "time/rollout_seconds": seconds,
        "time/rollout_tokens_per_second": lengths.sum().item() / max(seconds, 1e-9),
    }
    # Without a known reward there is no mean; logging 0 would look like a bad policy.
    if len(known):
        values["rollout/reward"] = known.mean().item()
    # Scores are (P, G) with NaN where a part did not apply or failed.
    for name, scores in phase.scores.parts.items():
        if not scores.isnan().all():
            values[f"rollout/{name}"] = scores.nanmean().item()
            values[f"rollout/{name}_std_within_group"] = _std_within_group(scores)
    for name, reasons in phase.scores.reasons.items():
        values |= _reason_shares(name, [reason for reason in reasons if reason is not None])
    if phase.claims is not None:
        counts = claim_counts(judged_completions(phase.prompts, phase.completions, phase.claims))
        # Without a claim there is no rate; logging 0 would look like a success.
        if counts.trials:
            values["rollout/hallucination_rate"] = counts.rate
    return values


def batch_metrics(
    micro_batches: Sequence[ExperienceBatch], policy_version: int, *, micro_batches_per_step: int
) -> dict[str, float]:
    """Return the number of samples in the micro-batches of a rollout, and the share and age of replayed samples.

    Args:
        micro_batches: the micro-batches of one rollout.
        policy_version: optimizer steps before the first micro-batch.
        micro_batches_per_step: micro-batches of one optimizer step.
    """
    is_replay = torch.cat([batch.is_replay for batch in micro_batches])
    # Age in optimizer steps at the moment of use: later micro-batches of a rollout are used in later steps.
    ages = torch.cat([
        policy_version + number // micro_batches_per_step - batch.policy_versions
        for number, batch in enumerate(micro_batches)
    ])  # fmt: skip
    values = {"buffer/batch_samples": float(len(is_replay))}
    if len(is_replay):
        values["buffer/replay_fraction"] = is_replay.float().mean().item()
    if is_replay.any():
        values["buffer/replay_age"] = ages[is_replay].float().mean().item()
    return values


def mismatch_metrics(
    samples: ExperienceBatch, learner_logps: Tensor, *, is_on_policy: Tensor, cap: float | None = None
) -> dict[str, Tensor]:
    """Return how much the log-probs of engine and learner differ, for equal tokens; empty without samples.

    For samples of the present weights only rounding makes the two differ. For samples of older weights the learning
    since then does too; the keys of these samples contain ``stale``.

    Args:
        samples: B samples with the engine's log-probs as ``behavior_logps``.
        learner_logps: (B, T) the learner's.
        is_on_policy: (B,) True at samples that the present weights have sampled.
        cap: largest weight of truncated importance sampling; None: it is off, and older samples give no metrics.
    """
    gaps = learner_logps.detach() - samples.behavior_logps  # (B, T)
    values = _gap_metrics("engine/", gaps[samples.is_completion & is_on_policy[:, None]], cap)
    if cap is not None:
        values |= _gap_metrics("engine/stale_", gaps[samples.is_completion & ~is_on_policy[:, None]], cap)
    return values


def _gap_metrics(prefix: str, gap: Tensor, cap: float | None) -> dict[str, Tensor]:
    """Return the metrics of gaps (tokens,) in nats."""
    if not len(gap):
        return {}
    weights = gap.exp()
    values = {
        "logp_gap_mean": gap.abs().mean(),
        "logp_gap_max": gap.abs().max(),
        "effective_sample_size": weights.sum().square() / (len(weights) * weights.square().sum()),
    }
    if cap is not None:
        values["capped_fraction"] = (weights > cap).float().mean()
    return {prefix + name: value for name, value in values.items()}


def engine_metrics(engine: RolloutEngine) -> dict[str, float]:
    """Return time and size of the last copy of weights to the engine; empty where the engine needs no copy."""
    if engine.last_sync is None:
        return {}
    return {
        "engine/sync_seconds": engine.last_sync.seconds,
        "engine/sync_megabytes": engine.last_sync.num_bytes / 2**20,
        "engine/restarts": float(engine.num_restarts),
    }


def step_metrics(samples: ExperienceBatch, out: GRPOOutput, entropies: Tensor, config: GRPOConfig) -> dict[str, Tensor]:
    """Return the metrics of one micro-batch, with fresh and replayed samples apart."""
    values = {
        "train/loss": out.loss.detach(),
        "train/entropy": entropies.detach()[samples.is_completion].mean(),
    }
    # Fresh samples must have a log-ratio near 0; the log-ratio of replayed samples shows how far the policy has moved.
    for name, rows in (("fresh", ~samples.is_replay), ("replay", samples.is_replay)):
        if rows.any():
            values[f"train/clipped_fraction_{name}"] = out.clipped_fraction[rows].mean()
            values[f"train/log_ratio_{name}"] = out.log_ratio[rows].mean()
            if config.kl_weight:
                values[f"train/kl_{name}"] = out.kl[rows].mean()
    if config.veto_log_ratio is not None:
        values["train/vetoed_fraction"] = out.is_vetoed.float().mean()
    return values


def _reason_shares(part: str, reasons: Sequence[str]) -> dict[str, float]:
    """Return the share of each reason among the completions with a reason; for the verifier also shares of 0."""
    verdicts = [str(reason) for reason in Reason]
    names = verdicts if set(reasons) <= set(verdicts) else sorted(set(reasons))
    return {f"reasons/{part}_{name}": reasons.count(name) / max(len(reasons), 1) for name in names}


def _std_within_group(scores: Tensor) -> float:
    """Return the mean over groups of the population standard deviation; groups with a missing score are left out."""
    spread = scores.std(dim=1, correction=0)
    return spread.nanmean().item() if not spread.isnan().all() else 0.0
