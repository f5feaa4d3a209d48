"""One rollout phase: sampled completions to scored groups with advantages.

completions (P, G)  ->  reward parts and totals (P, G)  ->  advantages (P, G)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from algorithms import Completion, ConfigError, Prompt, Rollout, RolloutGroup


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
    def rule_totals(self) -> Sequence[float]:
        """Weighted sums of the parts that are rules."""
        ...

    @property
    def num_failures(self) -> Mapping[str, int]:
        """Scores lost to a failing part."""
        ...


ScoreFunction = Callable[[Sequence[Prompt], Sequence[Completion]], Scores]
AdvantageFunction = Callable[[Float[Tensor, "P G"], Float[Tensor, "P G"]], Float[Tensor, "P G"]]
"""Total and rule rewards to advantages."""


def no_advantages(rewards: Float[Tensor, "P G"], rule_rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Return zeros, for those who do not learn from advantages."""
    del rule_rewards
    return torch.zeros_like(rewards)


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
    def rule_rewards(self) -> Float[Tensor, "P G"]:
        """The part of them that rules gave."""
        return torch.tensor([[r.rule_reward for r in group.rollouts] for group in self.groups])

    @property
    def advantages(self) -> Float[Tensor, "P G"]:
        """Advantages as the learner gets them."""
        return torch.tensor([[r.advantage for r in group.rollouts] for group in self.groups])

    @property
    def rollouts(self) -> list[Rollout]:
        """All rollouts, group by group."""
        return [rollout for group in self.groups for rollout in group.rollouts]

    @property
    def effective_groups(self) -> list[RolloutGroup]:
        """The groups with an advantage that is not 0."""
        return [group for group in self.groups if any(rollout.advantage != 0.0 for rollout in group.rollouts)]

    def solved_uids(self, part: str = "accuracy") -> list[int]:
        """Return the prompts all of whose completions got the whole score of a part, such as all are right."""
        return [g.prompt.uid for g in self.groups if all((r.reward_parts.get(part) or 0.0) >= 1.0 for r in g.rollouts)]

    def part(self, name: str) -> Float[Tensor, "P G"]:
        """Return the scores of one reward part, NaN where it did not apply."""
        scores = [[r.reward_parts[name] for r in group.rollouts] for group in self.groups]
        return torch.tensor([[math.nan if score is None else score for score in row] for row in scores])

    def joined(self, other: "RolloutPhase") -> "RolloutPhase":
        """Return the groups of both."""
        failures = {name: n + other.num_failures.get(name, 0) for name, n in self.num_failures.items()}
        return RolloutPhase([*self.groups, *other.groups], failures)


def collect(
    prompts: Sequence[Prompt],
    completions: Sequence[Sequence[Completion]],
    score: ScoreFunction,
    advantage: AdvantageFunction,
    *,
    policy_version: int,
    first_group: int = 0,
) -> RolloutPhase:
    """Score the group sampled for each prompt, and give each completion its advantage.

    Args:
        prompts: P prompts.
        completions: G completions of each.
        score: the reward.
        advantage: total and rule rewards to advantages.
        policy_version: optimizer steps behind the weights that sampled.
        first_group: id of the first group; the others count on from it.
    """
    group_size = len(completions[0])
    flat = [completion for group in completions for completion in group]
    scores = score([prompt for prompt in prompts for _ in range(group_size)], flat)
    totals, rules = (
        torch.tensor(rewards, dtype=torch.float32).view(len(prompts), group_size)
        for rewards in (scores.totals, scores.rule_totals)
    )
    advantages = advantage(totals, rules).flatten().tolist()

    rollouts = [
        Rollout(
            prompt_uid=prompts[i // group_size].uid,
            completion=completion,
            policy_version=policy_version,
            reward_parts={name: values[i] for name, values in scores.parts.items()},
            reward=scores.totals[i],
            rule_reward=scores.rule_totals[i],
            advantage=advantages[i],
            group_id=first_group + i // group_size,
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
