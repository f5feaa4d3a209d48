"""The nouns that travel through the pipeline. Plain data: no behaviour beyond selecting and saving rows.

Shapes: B samples (rows of a batch), T completion tokens, P prompts, G completions per prompt.
"""

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
    """Ground truth for the accuracy reward; None when nobody knows."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One completion with its scores."""

    prompt_uid: int
    completion: Completion
    policy_version: int
    """Optimizer steps behind the weights that sampled; 0 is the initial policy."""

    reward_parts: Mapping[str, float | None]
    """Score of each part by name, before scaling and weight; None where the part did not apply."""

    reward: float
    """Weighted sum of the parts."""

    advantage: float
    rule_reward: float = 0.0
    """Weighted sum of the parts that are rules; they decide whether a group is effective."""

    group_id: int = 0
    """Tells the groups of a run apart: a prompt sampled twice makes two groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutGroup:
    """The G rollouts of one prompt, in the order sampled."""

    prompt: Prompt
    rollouts: Sequence[Rollout]


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
