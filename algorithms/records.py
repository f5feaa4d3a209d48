"""The nouns that travel through the pipeline. Plain data: no behaviour beyond selecting and saving rows.

Shapes: B samples (rows of a batch), T completion tokens, P prompts, G completions per prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
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
    """Unweighted score of each part by name; None where the part did not apply."""

    reward: float
    """Weighted sum of the parts."""

    advantage: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperienceBatch:
    """Rows the learner can use: completions right-padded to one length, with all that the loss needs."""

    prompt_uids: Int[Tensor, " B"]
    completion_ids: Int[Tensor, "B T"]
    is_completion: Bool[Tensor, "B T"]
    """True at sampled tokens, False at padding."""

    behavior_logps: Float[Tensor, "B T"]
    advantages: Float[Tensor, " B"]
    policy_versions: Int[Tensor, " B"]
    is_replay: Bool[Tensor, " B"]
    """True for rows drawn from the buffer, False for rows of the current rollout."""

    def __len__(self) -> int:
        return int(self.prompt_uids.shape[0])

    def rows(self, index: Tensor) -> "ExperienceBatch":
        """Return the rows picked by an index or a boolean mask, cut to their longest completion."""
        picked = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        longest = int(picked["is_completion"].sum(1).max()) if len(picked["prompt_uids"]) else 0
        for name in ("completion_ids", "is_completion", "behavior_logps"):
            picked[name] = picked[name][:, :longest]
        return ExperienceBatch(**picked)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors by name; checkpoints hold them as they are."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def empty() -> "ExperienceBatch":
        """Return a batch of no rows."""
        return stack_rollouts([])

    @staticmethod
    def cat(batches: Sequence["ExperienceBatch"]) -> "ExperienceBatch":
        """Join batches along B, padding completions to the longest."""
        longest = max(batch.completion_ids.shape[1] for batch in batches)

        def column(name: str) -> Tensor:
            parts = [getattr(batch, name) for batch in batches]
            if parts[0].ndim == 2:
                parts = [torch.nn.functional.pad(p, (0, longest - p.shape[1])) for p in parts]
            return torch.cat(parts)

        return ExperienceBatch(**{f.name: column(f.name) for f in fields(ExperienceBatch)})


def stack_rollouts(rollouts: Sequence[Rollout]) -> ExperienceBatch:
    """Pad rollouts into one batch of fresh rows."""
    lengths = torch.tensor([len(r.completion.token_ids) for r in rollouts], dtype=torch.long)
    longest = int(lengths.max()) if len(rollouts) else 0
    ids = torch.zeros(len(rollouts), longest, dtype=torch.long)
    logps = torch.zeros(len(rollouts), longest)
    for row, rollout in enumerate(rollouts):
        ids[row, : lengths[row]] = rollout.completion.token_ids
        logps[row, : lengths[row]] = rollout.completion.behavior_logps
    return ExperienceBatch(
        prompt_uids=torch.tensor([r.prompt_uid for r in rollouts], dtype=torch.long),
        completion_ids=ids,
        is_completion=torch.arange(longest)[None, :] < lengths[:, None],
        behavior_logps=logps,
        advantages=torch.tensor([r.advantage for r in rollouts], dtype=torch.float32),
        policy_versions=torch.tensor([r.policy_version for r in rollouts], dtype=torch.long),
        is_replay=torch.zeros(len(rollouts), dtype=torch.bool),
    )
