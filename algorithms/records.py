"""The nouns that travel through the pipeline: plain data, in the order in which they come to be.

Shapes: B samples (rows of a batch), T completion tokens, P prompts, G completions per prompt.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

FinishReason = Literal["stop", "length"]


@runtime_checkable
class ImageReference(Protocol):
    """Where an image lies. Prompts carry references, so that buffers and checkpoints never copy pixels."""

    def load(self) -> Any:
        """Return the image as an RGB ``PIL.Image.Image``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question, the images it asks about, and what is known to be true of them."""

    uid: int
    """Position in its data set. Groups siblings: two prompts with equal text stay two prompts."""

    key: str
    """The row's own name, as the user wrote it; for reports and files."""

    question: str
    """User turn. ``<image>`` marks where each image stands; without marks, images come first."""

    images: tuple[ImageReference, ...] = ()

    answer: str | None = None
    """Ground truth for the accuracy reward; None when it is unknown."""

    facts: tuple[str, ...] | None = None
    """What the images show, one entry per thing, repeats counted; None when not annotated."""

    prefill: str = ""
    """Start of the completion, already written: the policy continues it."""

    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """All further columns of the row, for user rewards and reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an engine returns for one sampled continuation of a prompt."""

    token_ids: Int[Tensor, " T"]
    """Sampled tokens, up to and including the end-of-turn token when there is one."""

    behavior_logps: Float[Tensor, " T"]
    """Log-probability (nats) of each token under the policy that sampled it, as it was sampled."""

    text: str
    """Decoded tokens without the end-of-turn token."""

    finish_reason: FinishReason
    """``stop``: the policy ended its turn. ``length``: cut at the token limit."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a completion about the image, and whether the image supports it."""

    thing: str
    """What is claimed to be there."""

    start: int
    """Position of its first character in the completion."""

    end: int
    """Position after its last character."""

    is_supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTable:
    """The scores of completions: one entry per completion, in whatever shape the completions have.

    64-bit floats, as reward functions return them: a margin between two scores must not be lost in rounding.
    """

    parts: Mapping[str, Float[Tensor, "*shape"]]
    """Score of each part by name, before scaling and weight; NaN where the part did not apply or failed."""

    totals: Float[Tensor, "*shape"]
    """Weighted sum of the parts that applied; 0 where none did."""

    rule_totals: Float[Tensor, "*shape"]
    """The same sum over the parts that are rules; it decides whether a group is effective."""

    num_failures: Mapping[str, int]
    """Number of completions that each part failed on."""

    def view(self, *shape: int) -> "RewardTable":
        """Return the same scores in another shape, such as (P, G) for P prompts with G completions each."""
        return RewardTable(
            parts={name: scores.view(shape) for name, scores in self.parts.items()},
            totals=self.totals.view(shape),
            rule_totals=self.rule_totals.view(shape),
            num_failures=self.num_failures,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """The G completions of one prompt with their scores: one row of a rollout phase."""

    prompt: Prompt
    completions: Sequence[Completion]
    parts: Mapping[str, Float[Tensor, " G"]]
    """Score of each reward part by name, NaN where the part did not apply or failed."""

    rewards: Float[Tensor, " G"]
    """Weighted sum of the parts."""

    advantages: Float[Tensor, " G"]
    claims: Sequence[Sequence[Claim] | None] | None = None
    """Judged claims of each completion; None where no judge knows the image, or there is no judge."""

    def score(self, part: str, index: int) -> float | None:
        """Return the score of one completion in one part; None where there is none."""
        if part not in self.parts:
            return None
        score = float(self.parts[part][index])
        return None if math.isnan(score) else score


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two completions of one prompt, the first of which is preferred. Texts, so that any policy can read them."""

    uid: int
    """Position in its data set."""

    prompt: Prompt
    chosen: str
    """The better completion, without the end-of-turn token."""

    rejected: str
    rejected_ended: bool = True
    """False when the rejected completion was cut at the token limit, so no end-of-turn token follows it."""

    kind: str = "given"
    """How the pair was made: ``correctness``, ``format``, ``reward_model``, ``dropout_ntp``; ``given`` by a file."""

    chosen_score: float | None = None
    """Score of the preference reward model; None where nobody scored."""

    rejected_score: float | None = None

    @property
    def margin(self) -> float | None:
        """Chosen minus rejected score; None where nobody scored."""
        if self.chosen_score is None or self.rejected_score is None:
            return None
        return self.chosen_score - self.rejected_score


class Ticket:
    """What the GRPO module does in one training step. The data module hands it out in place of a batch.

    This is no dataclass on purpose: Lightning rebuilds the dataclasses in a batch and refuses frozen ones.
    """

    def __init__(self, rollout: int, micro: int, prompts: Sequence[Prompt]) -> None:
        """Describe the step.

        Args:
            rollout: number of the rollout phase, from 0.
            micro: number of the micro-batch within the phase; micro-batch 0 begins with sampling.
            prompts: the prompts of the rollout on this rank.
        """
        self.rollout, self.micro, self.prompts = rollout, micro, prompts


class PairTicket:
    """What the MPO module does in one training step, when pairs are built from its own rollouts.

    This is no dataclass, for the same reason as ``Ticket``.
    """

    def __init__(self, number: int, refresh: int | None = None, prompts: Sequence[Prompt] = ()) -> None:
        """Describe the step.

        Args:
            number: number of the training step, from 0.
            refresh: number of the rollout that comes before this step; None: there is no rollout before it.
            prompts: the prompts of that rollout on this rank.
        """
        self.number, self.refresh, self.prompts = number, refresh, prompts
