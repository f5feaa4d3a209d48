"""One rollout phase: what was sampled, how it was scored, and the advantages, as tensors.

    completions (P, G)  ->  reward parts and totals (P, G)  ->  advantages (P, G)  ->  rows for the learner (B)

Shapes: P prompts, G completions per prompt, B samples of a batch.
"""

from collections.abc import Sequence
from copy import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from algorithms import (
    AdvantageConfig,
    Claim,
    Completion,
    ExperienceBatch,
    Prompt,
    RewardTable,
    RolloutGroup,
    group_relative_advantages,
    stack_completions,
)


class RolloutPhase:
    """Scored completions. This is no dataclass: Lightning refuses frozen ones in what ``predict`` returns."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[Sequence[Completion]],
        scores: RewardTable,
        *,
        policy_version: int = 0,
        claims: Sequence[Sequence[Sequence[Claim] | None]] | None = None,
        first_group: int = 0,
    ) -> None:
        """Hold what was sampled and scored.

        Args:
            prompts: P prompts.
            completions: G completions of each prompt.
            scores: their scores, (P, G).
            policy_version: optimizer steps behind the weights that sampled.
            claims: judged claims of each completion; None inside where the judge does not know the image; None
                altogether without a judge.
            first_group: id of the first group; ids count up from it, and all groups of a run have different ones.
        """
        self.prompts, self.completions, self.scores = prompts, completions, scores
        self.policy_version, self.claims = policy_version, claims
        self.group_ids: Int[Tensor, " P"] = first_group + torch.arange(len(prompts))
        self.advantages: Float[Tensor, "P G"] = torch.zeros_like(self.rewards)
        """0 until ``with_advantages``; modules that do not learn from advantages leave it so."""

    @property
    def rewards(self) -> Float[Tensor, "P G"]:
        """Total rewards in 32-bit floats, as advantages are computed from them."""
        return self.scores.totals.float()

    @property
    def rule_rewards(self) -> Float[Tensor, "P G"]:
        """The part of the total rewards that rules gave, in 32-bit floats."""
        return self.scores.rule_totals.float()

    @property
    def lengths(self) -> Int[Tensor, "P G"]:
        """Number of tokens of each completion."""
        return torch.tensor([[len(completion.token_ids) for completion in group] for group in self.completions])

    @property
    def is_truncated(self) -> Bool[Tensor, "P G"]:
        """True where a completion was cut at the token limit."""
        return torch.tensor([[completion.finish_reason == "length" for completion in g] for g in self.completions])

    @property
    def is_effective(self) -> Bool[Tensor, " P"]:
        """True at groups with an advantage that is not 0."""
        return (self.advantages != 0.0).any(dim=1)

    @property
    def groups(self) -> list[RolloutGroup]:
        """The groups one by one, for pictures, files and pairs."""
        return [self.group(index) for index in range(len(self.prompts))]

    def group(self, index: int) -> RolloutGroup:
        """Return one row of the phase."""
        return RolloutGroup(
            prompt=self.prompts[index],
            completions=self.completions[index],
            parts={name: scores[index] for name, scores in self.scores.parts.items()},
            rewards=self.scores.totals[index],
            advantages=self.advantages[index],
            claims=None if self.claims is None else self.claims[index],
        )

    def solved_uids(self, part: str = "accuracy") -> Int[Tensor, " S"]:
        """Return the uids of the prompts all of whose completions have the full score 1 of a part."""
        uids = torch.tensor([prompt.uid for prompt in self.prompts])
        return uids[(self.scores.parts[part] >= 1.0).all(dim=1)]

    def joined(self, other: "RolloutPhase") -> "RolloutPhase":
        """Return a phase with the groups of both."""
        one, two = self.scores, other.scores
        scores = RewardTable(
            parts={name: torch.cat([one.parts[name], two.parts[name]]) for name in one.parts},
            totals=torch.cat([one.totals, two.totals]),
            rule_totals=torch.cat([one.rule_totals, two.rule_totals]),
            num_failures={name: count + two.num_failures[name] for name, count in one.num_failures.items()},
        )
        joined = RolloutPhase(
            [*self.prompts, *other.prompts],
            [*self.completions, *other.completions],
            scores,
            policy_version=self.policy_version,
            claims=None if self.claims is None or other.claims is None else [*self.claims, *other.claims],
        )
        joined.group_ids = torch.cat([self.group_ids, other.group_ids])
        joined.advantages = torch.cat([self.advantages, other.advantages])
        return joined

    def with_advantages(self, config: AdvantageConfig) -> "RolloutPhase":
        """Return the phase with the group-relative advantages of its rewards."""
        learnt = copy(self)
        learnt.advantages = group_relative_advantages(self.rewards, rule_rewards=self.rule_rewards, config=config)
        return learnt

    def rows(self, is_wanted: Bool[Tensor, "P G"]) -> ExperienceBatch:
        """Return the wanted completions as rows for the learner, group by group."""
        group, place = is_wanted.nonzero(as_tuple=True)  # (B,), (B,)
        uids = torch.tensor([prompt.uid for prompt in self.prompts], dtype=torch.long)
        return stack_completions(
            [self.completions[p][g] for p, g in zip(group.tolist(), place.tolist(), strict=True)],
            prompt_uids=uids[group],
            group_ids=self.group_ids[group],
            advantages=self.advantages[group, place],
            policy_versions=torch.full_like(group, self.policy_version),
        )
