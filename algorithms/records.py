"""The records that travel through the pipeline: plain data, in the order in which they are made.

    Prompt -> Completion -> Claim, RewardTable -> RolloutGroup -> PreferencePair

``ExperienceBatch``, the rows that the GRPO loss reads, has a file of its own.

Shapes: T completion tokens, G completions per prompt.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

FinishReason = Literal["stop", "length"]

# Records are frozen, because modules, data modules and callbacks share the same objects.


@runtime_checkable
class ImageReference(Protocol):
    """Where an image lies. Prompts carry references, so that buffers and checkpoints never copy pixels."""

    # Any, because this package imports neither PIL nor any other reader of images.
    def load(self) -> Any:
        """Return the image as an RGB ``PIL.Image.Image``."""
        ...


@runtime_checkable
class FileReference(ImageReference, Protocol):
    """A reference to an image in a file. Size and time of the file then tell whether the image was drawn anew."""

    @property
    def path(self) -> Path:
        """The file that holds the image."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question, the images it is about, and the known truth about them."""

    uid: int
    """Position in its data set. Completions with one uid are a group; two prompts with equal text stay two prompts."""

    key: str
    """Name of the row in the user's data; for reports and files."""

    question: str
    """User turn. ``<image>`` marks where each image stands; without marks, images come first."""

    images: tuple[ImageReference, ...] = ()

    answer: str | None = None
    """Ground truth for the accuracy reward; None when it is unknown."""

    aliases: tuple[str, ...] = ()
    """Further spellings of the answer; one that equals any of them is right too."""

    choices: tuple[str, ...] | None = None
    """Texts of the choices A, B, C, ... in their order, without letters; None where the question has none."""

    tolerance: float | None = None
    """Largest absolute difference from a gold number that is still right, in its unit; None: numbers are exact."""

    facts: tuple[str, ...] | None = None
    """What the images show, one entry per thing, repeats counted; None where it is not annotated."""

    prefill: str = ""
    """Start of the completion, which the policy continues; empty where the policy writes all of it."""

    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """All further columns of the row, for user rewards and reports."""

    system: str = ""
    """System turn in front of the user turn; empty: none, or the one of the chat template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled continuation of a prompt, as an engine returns it."""

    token_ids: Int[Tensor, " T"]
    """Sampled tokens, up to and including the end-of-turn token when there is one."""

    behavior_logps: Float[Tensor, " T"]
    """Log-probability (nats) of each token under the policy that sampled it, after temperature and banned tokens."""

    text: str
    """The decoded tokens, without the end-of-turn token."""

    finish_reason: FinishReason
    """``stop``: the policy ended its turn. ``length``: the completion was cut at the token limit."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a completion about the image, and whether the image supports it."""

    thing: str
    """Name of the thing that the completion claims to see."""

    # Positions in ``Completion.text``, so that a page can mark the claim.
    start: int
    """Position of its first character in the completion."""

    end: int
    """Position after its last character."""

    is_supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTable:
    """The scores of completions, one entry per completion, as (N,) or as (P, G).

    The scores are 64-bit floats, as reward functions return them: rounding to 32 bits could make two scores equal.
    """

    parts: Mapping[str, Float[Tensor, "*shape"]]
    """Score of each part by name, before scaling and weight; NaN where the part did not apply or failed."""

    totals: Float[Tensor, "*shape"]
    """Weighted sum of the parts that applied; 0 where no part applied, NaN where a part that it depends on failed."""

    rule_totals: Float[Tensor, "*shape"]
    """The same sum over the parts that are rules, NaN where the total is; it decides whether a group is effective."""

    num_failures: Mapping[str, int]
    """Number of completions that each part failed on."""

    reasons: Mapping[str, Sequence[str | None]] = field(default_factory=dict[str, Sequence[str | None]])
    """Why each completion has its score, for the parts that say so; row by row in one list, also where the scores are
    (P, G)."""

    def view(self, *shape: int) -> "RewardTable":
        """Return the same scores in another shape, such as (P, G) for P prompts with G completions each."""
        # Row by row, so (N,) becomes (P, G) when the completions of a prompt stand together.
        return RewardTable(
            parts={name: scores.view(shape) for name, scores in self.parts.items()},
            totals=self.totals.view(shape),
            rule_totals=self.rule_totals.view(shape),
            num_failures=self.num_failures,
            reasons=self.reasons,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """The G completions of one prompt with their scores: one row of a rollout phase."""

    prompt: Prompt
    completions: Sequence[Completion]
    parts: Mapping[str, Float[Tensor, " G"]]
    """Score of each reward part by name, NaN where the part did not apply or failed."""

    rewards: Float[Tensor, " G"]
    """Weighted sum of the parts, NaN where it is unknown because a part failed."""

    advantages: Float[Tensor, " G"]
    """0 where the reward is unknown."""

    claims: Sequence[Sequence[Claim] | None] | None = None
    """Judged claims of each completion. None: there is no judge. None inside: the prompt has no facts."""

    reasons: Mapping[str, Sequence[str | None]] = field(default_factory=dict[str, Sequence[str | None]])
    """Why each completion has its score, for the parts that say so: G reasons by name."""

    def reasons_of(self, index: int) -> dict[str, str]:
        """Return the reasons for the scores of one completion, by part; parts that gave none are left out."""
        given = {part: reasons[index] for part, reasons in self.reasons.items()}
        return {part: reason for part, reason in given.items() if reason is not None}

    def score(self, part: str, index: int) -> float | None:
        """Return the score that a part gave to one completion; None where it gave none, or is no part of the reward."""
        if part not in self.parts:
            return None
        score = float(self.parts[part][index])
        # Tensors hold no None, so a missing score is NaN in them.
        return None if math.isnan(score) else score


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two completions of one prompt, the first of which is preferred. They are texts, so any policy can read them."""

    uid: int
    """Position in its data set."""

    prompt: Prompt

    # There is no ``chosen_ended``: a completion that was cut has no end that could be learned, so it is never chosen.
    chosen: str
    """The better completion, without the end-of-turn token."""

    rejected: str
    rejected_ended: bool = True
    """False when the rejected completion was cut at the token limit, so no end-of-turn token follows it."""

    kind: str = "given"
    """How the pair was made: ``correctness``, ``format``, ``reward_model``, ``dropout_ntp``; ``given`` by a file."""

    chosen_score: float | None = None
    """Score of the preference reward model; None where it did not score."""

    rejected_score: float | None = None

    @property
    def margin(self) -> float | None:
        """Chosen minus rejected score; None where one of them is missing."""
        if self.chosen_score is None or self.rejected_score is None:
            return None
        return self.chosen_score - self.rejected_score


class Ticket:
    """What the GRPO module does in one training step. The data module gives it in place of a batch."""

    # No dataclass: Lightning rebuilds the dataclasses in a batch and refuses frozen ones.

    def __init__(self, rollout: int, micro: int, prompts: Sequence[Prompt]) -> None:
        """Describe the step.

        Args:
            rollout: number of the rollout phase, from 0.
            micro: number of the micro-batch within the phase; micro-batch 0 begins with sampling.
            prompts: the prompts of the rollout on this rank.
        """
        self.rollout, self.micro, self.prompts = rollout, micro, prompts


class PairTicket:
    """What the MPO module does in one training step, when pairs are built from its own rollouts."""

    # No dataclass, for the same reason as ``Ticket``.

    def __init__(self, number: int, refresh: int | None = None, prompts: Sequence[Prompt] = ()) -> None:
        """Describe the step.

        Args:
            number: number of the training step, from 0.
            refresh: number of the rollout that comes before this step; None: the step uses the pairs that exist.
            prompts: the prompts of that rollout on this rank.
        """
        self.number, self.refresh, self.prompts = number, refresh, prompts
