"""One rollout phase: completions, their scores and their advantages, as tensors of (P, G).

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
    """Scored completions of one rollout on one rank."""

    # No dataclass: Lightning refuses frozen ones in the results of ``predict``.

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
        """Take completions and their scores.

        Args:
            prompts: P prompts.
            completions: G completions of each prompt.
            scores: their scores, (P, G).
            policy_version: optimizer steps of the policy that sampled.
            claims: judged claims of each completion (P, G). None: there is no judge. None inside: the prompt has no
                facts.
            first_group: id of the first group; the ids of the others count up from it. No two groups of a run may have
                the same id.
        """
        self.prompts, self.completions, self.scores = prompts, completions, scores
        self.policy_version, self.claims = policy_version, claims
        self.group_ids: Int[Tensor, " P"] = first_group + torch.arange(len(prompts))
        self.advantages: Float[Tensor, "P G"] = torch.zeros_like(self.rewards)
        """0 until ``with_advantages`` is called; only GRPO calls it."""

    @property
    def rewards(self) -> Float[Tensor, "P G"]:
        """Total rewards, NaN where they are unknown because a reward part failed."""
        # Reward tables are in 64 bits, advantages and losses in 32.
        return self.scores.totals.float()

    @property
    def is_known(self) -> Bool[Tensor, "P G"]:
        """True where the total reward is known."""
        return ~self.scores.totals.isnan()

    @property
    def rule_rewards(self) -> Float[Tensor, "P G"]:
        """The part of the total rewards that comes from rules; NaN where the total is NaN."""
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
        """The rows of the phase one by one, for pictures, files and pairs."""
        return [self.group(index) for index in range(len(self.prompts))]

    def group(self, index: int) -> RolloutGroup:
        """Return one row of the phase."""
        size = len(self.completions[index])
        return RolloutGroup(
            prompt=self.prompts[index],
            completions=self.completions[index],
            parts={name: scores[index] for name, scores in self.scores.parts.items()},
            rewards=self.scores.totals[index],
            advantages=self.advantages[index],
            claims=None if self.claims is None else self.claims[index],
            reasons={name: reasons[index * size : (index + 1) * size] for name, reasons in self.scores.reasons.items()},
        )

    def solved_uids(self, part: str = "accuracy") -> Int[Tensor, " S"]:
        """Return the uids of the prompts whose completions all have the score 1 in a part."""
        # A missing score is NaN, which is not at least 1: its prompt is not solved.
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
            reasons=self._joined_reasons(other),
        )
        joined = RolloutPhase(
            [*self.prompts, *other.prompts],
            [*self.completions, *other.completions],
            scores,
            policy_version=self.policy_version,
            claims=None if self.claims is None or other.claims is None else [*self.claims, *other.claims],
        )
        # (P1,) and (P2,) -> (P1 + P2,): the groups keep their ids and advantages.
        joined.group_ids = torch.cat([self.group_ids, other.group_ids])
        joined.advantages = torch.cat([self.advantages, other.advantages])
        return joined

    def _joined_reasons(self, other: "RolloutPhase") -> dict[str, list[str | None]]:
        # A phase's table lacks the parts that gave no reason at all.
        names = {**self.scores.reasons, **other.scores.reasons}
        return {
            name: [
                reason
                for phase in (self, other)
                for reason in phase.scores.reasons.get(name, [None] * phase.rewards.numel())
            ]
            for name in names
        }

    def with_advantages(self, config: AdvantageConfig) -> "RolloutPhase":
        """Return a copy of this phase with the group-relative advantages of its rewards."""
        # A shallow copy: both phases share completions and scores.
        phase = copy(self)
        phase.advantages = group_relative_advantages(self.rewards, rule_rewards=self.rule_rewards, config=config)
        return phase

    def rows(self, is_wanted: Bool[Tensor, "P G"]) -> ExperienceBatch:
        """Return the wanted completions as B rows for the learner, group by group."""
        # (P, G) -> for each row the index of its prompt and its index in the group: (B,), (B,)
        group, index = is_wanted.nonzero(as_tuple=True)
        uids = torch.tensor([prompt.uid for prompt in self.prompts], dtype=torch.long)
        return stack_completions(
            [self.completions[p][g] for p, g in zip(group.tolist(), index.tolist(), strict=True)],
            prompt_uids=uids[group],
            group_ids=self.group_ids[group],
            advantages=self.advantages[group, index],
            policy_versions=torch.full_like(group, self.policy_version),
        )
