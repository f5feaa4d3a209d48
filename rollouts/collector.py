"""One rollout phase: prompts to scored groups with advantages.

prompts (P)  ->  completions (P, G)  ->  reward parts and totals (P, G)  ->  advantages (P, G)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from algorithms import Completion, ConfigError, Prompt, Rollout, RolloutGroup
from rollouts.engine import RolloutEngine, SamplingConfig


class Scores(Protocol):
    """What a reward returns for N completions."""

    @property
    def parts(self) -> Mapping[str, Sequence[float | None]]:
        """Unweighted scores by part."""
        ...

    @property
    def totals(self) -> Sequence[float]:
        """Weighted sums."""
        ...

    @property
    def num_failures(self) -> Mapping[str, int]:
        """Scores lost to a failing part."""
        ...


ScoreFunction = Callable[[Sequence[Prompt], Sequence[Completion]], Scores]
AdvantageFunction = Callable[[Float[Tensor, "P G"]], Float[Tensor, "P G"]]


class RolloutPhase:
    """What one phase produced. No dataclass: Lightning refuses frozen ones in what ``predict`` returns."""

    def __init__(self, groups: list[RolloutGroup], num_failures: Mapping[str, int]) -> None:
        """Hold the groups, and how many scores each reward part lost to a failure."""
        self.groups, self.num_failures = groups, num_failures

    @property
    def rewards(self) -> Float[Tensor, "P G"]:
        """Total rewards."""
        return torch.tensor([[r.reward for r in group.rollouts] for group in self.groups])

    @property
    def advantages(self) -> Float[Tensor, "P G"]:
        """Advantages as the learner gets them."""
        return torch.tensor([[r.advantage for r in group.rollouts] for group in self.groups])

    @property
    def rollouts(self) -> list[Rollout]:
        """All rollouts, group by group."""
        return [rollout for group in self.groups for rollout in group.rollouts]

    def part(self, name: str) -> Float[Tensor, " N"]:
        """Return the scores of one reward part where it applied."""
        scores = [r.reward_parts[name] for r in self.rollouts]
        return torch.tensor([score for score in scores if score is not None])


def collect(
    engine: RolloutEngine,
    prompts: Sequence[Prompt],
    score: ScoreFunction,
    advantage: AdvantageFunction,
    *,
    group_size: int,
    sampling: SamplingConfig,
    seed: int,
    policy_version: int,
) -> RolloutPhase:
    """Sample a group for each prompt, score it, and give each completion its advantage."""
    completions = engine.generate(prompts, group_size=group_size, sampling=sampling, seed=seed)
    flat = [completion for group in completions for completion in group]
    scores = score([prompt for prompt in prompts for _ in range(group_size)], flat)
    totals = torch.tensor(scores.totals, dtype=torch.float32).view(len(prompts), group_size)
    advantages = advantage(totals).flatten().tolist()

    rollouts = [
        Rollout(
            prompt_uid=prompts[i // group_size].uid,
            completion=completion,
            policy_version=policy_version,
            reward_parts={name: values[i] for name, values in scores.parts.items()},
            reward=scores.totals[i],
            advantage=advantages[i],
        )
        for i, completion in enumerate(flat)
    ]
    groups = [
        RolloutGroup(prompt=prompt, rollouts=rollouts[i * group_size : (i + 1) * group_size])
        for i, prompt in enumerate(prompts)
    ]
    return RolloutPhase(groups, scores.num_failures)


def check_group_size(group_size: int) -> None:
    """Refuse groups in which every advantage would be zero."""
    if group_size < 2:
        raise ConfigError(
            f"model.group_size must be at least 2, got {group_size}: with one completion per prompt "
            "every group-relative advantage is zero and nothing is learned."
        )
