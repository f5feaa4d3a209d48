"""Completions as tensors, one row for each: what the GRPO loss reads and what the buffer stores.

Shapes: B samples (rows of a batch), T tokens of the longest completion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from algorithms.records import Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperienceBatch:
    """Completions, right-padded to one length, with everything that the loss needs."""

    # A prompt is an index into the data set: text and pixels of a prompt would repeat in every row of its group.
    prompt_uids: Int[Tensor, " B"]
    group_ids: Int[Tensor, " B"]
    """Equal for the completions of one prompt in one rollout."""

    completion_ids: Int[Tensor, "B T"]
    is_completion: Bool[Tensor, "B T"]
    """True at sampled tokens, False at padding."""

    behavior_logps: Float[Tensor, "B T"]
    """Log-probs (nats) in the denominator of the importance ratio: the engine's; where ``engine_logps`` is given, the
    learner's, computed with the weights that sampled."""

    advantages: Float[Tensor, " B"]
    policy_versions: Int[Tensor, " B"]
    is_replay: Bool[Tensor, " B"]
    """True for rows drawn from the buffer, False for rows of the current rollout."""

    weights: Float[Tensor, " B"]
    """Factor of a row in the loss: 1, or the correction for a prioritised draw."""

    engine_logps: Float[Tensor, "B T"] | None = None
    """Log-probs (nats) of the engine, where the learner scored the completions again; else None."""

    def __len__(self) -> int:
        return int(self.prompt_uids.shape[0])

    @property
    def lengths(self) -> Int[Tensor, " B"]:
        """Number of completion tokens of each row."""
        return self.is_completion.sum(1)

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors by name; ``engine_logps`` is left out when it is None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def with_columns(self, **columns: Tensor) -> "ExperienceBatch":
        """Return the rows with some tensors replaced."""
        return replace(self, **columns)

    def to(self, device: torch.device) -> "ExperienceBatch":
        """Return the rows on a device."""
        return ExperienceBatch(**{name: column.to(device) for name, column in self.columns().items()})

    def rows(self, index: Tensor) -> "ExperienceBatch":
        """Return the rows picked by an index or a boolean mask, cut to their longest completion."""
        picked = {name: column[index] for name, column in self.columns().items()}
        longest = int(picked["is_completion"].sum(1).max()) if len(picked["prompt_uids"]) else 0
        # (B, T) -> (picked rows, longest of them)
        return ExperienceBatch(**{name: t[:, :longest] if t.ndim == 2 else t for name, t in picked.items()})

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors by name, completions one after another without padding."""
        # Two-dimensional columns (B, T) -> (tokens of all rows,), so a checkpoint holds no padding.
        state = {name: t[self.is_completion] if t.ndim == 2 else t for name, t in self.columns().items()}
        return state | {"lengths": self.lengths}

    @staticmethod
    def from_state_dict(state: Mapping[str, Tensor]) -> "ExperienceBatch":
        """Return the rows from which ``state_dict`` was made."""
        columns = dict(state)
        is_completion = token_mask(columns.pop("lengths"))  # (B, T)
        # The stored mask has no padding, so it holds nothing but True.
        columns.pop("is_completion")
        for name, column in columns.items():
            if name in ("completion_ids", "behavior_logps", "engine_logps"):
                # (tokens of all rows,) -> (B, T)
                columns[name] = column.new_zeros(is_completion.shape).masked_scatter(is_completion, column)
        return ExperienceBatch(is_completion=is_completion, **columns)

    @staticmethod
    def empty() -> "ExperienceBatch":
        """Return a batch of no rows."""
        none = torch.zeros(0, dtype=torch.long)
        return stack_completions([], prompt_uids=none, group_ids=none, advantages=torch.zeros(0), policy_versions=none)

    @staticmethod
    def cat(batches: Sequence["ExperienceBatch"]) -> "ExperienceBatch":
        """Join batches along B, padding completions to the longest; batches without rows are left out."""
        # One batch stays where none has rows: the result needs the names of its columns.
        batches = [batch for batch in batches if len(batch)] or list(batches[:1])
        longest = max(batch.completion_ids.shape[1] for batch in batches)

        def column(name: str) -> Tensor:
            parts: list[Tensor] = [batch.columns()[name] for batch in batches]
            if parts[0].ndim == 2:
                parts = [torch.nn.functional.pad(p, (0, longest - p.shape[1])) for p in parts]
            return torch.cat(parts)

        return ExperienceBatch(**{name: column(name) for name in batches[0].columns()})


def token_mask(lengths: Int[Tensor, " B"]) -> Bool[Tensor, "B T"]:
    """Return True at the tokens of right-padded rows with these lengths, False at padding."""
    longest = int(lengths.max()) if len(lengths) else 0
    return torch.arange(longest, device=lengths.device)[None, :] < lengths[:, None]


def placeholder_row(prompt_uid: int, token_id: int, *, has_engine_logps: bool) -> ExperienceBatch:
    """Return one row with advantage 0 that teaches nothing: a completion of one token.

    Args:
        prompt_uid: any prompt of the data set; the forward reads the prompt of every row.
        token_id: any token that a completion may hold.
        has_engine_logps: whether the rows of the other ranks have ``engine_logps``.
    """
    completion = Completion(
        token_ids=torch.tensor([token_id]), behavior_logps=torch.zeros(1), text="", finish_reason="stop"
    )
    zero = torch.zeros(1, dtype=torch.long)
    row = stack_completions(
        [completion],
        prompt_uids=torch.tensor([prompt_uid]),
        group_ids=zero,
        advantages=torch.zeros(1),
        policy_versions=zero,
    )
    return row.with_columns(engine_logps=torch.zeros(1, 1)) if has_engine_logps else row


def stack_completions(
    completions: Sequence[Completion],
    *,
    prompt_uids: Int[Tensor, " B"],
    group_ids: Int[Tensor, " B"],
    advantages: Float[Tensor, " B"],
    policy_versions: Int[Tensor, " B"],
) -> ExperienceBatch:
    """Return B completions as rows of the current rollout.

    Args:
        completions: B completions.
        prompt_uids: prompt of each completion.
        group_ids: group of each completion.
        advantages: advantage of each completion.
        policy_versions: optimizer steps behind the weights that sampled each completion.
    """
    lengths = torch.tensor([len(completion.token_ids) for completion in completions], dtype=torch.long)
    is_completion = token_mask(lengths)  # (B, T)
    ids = torch.zeros(is_completion.shape, dtype=torch.long)
    logps = torch.zeros(is_completion.shape)
    for row, completion in enumerate(completions):
        ids[row, : lengths[row]] = completion.token_ids
        logps[row, : lengths[row]] = completion.behavior_logps
    return ExperienceBatch(
        prompt_uids=prompt_uids,
        group_ids=group_ids,
        completion_ids=ids,
        is_completion=is_completion,
        behavior_logps=logps,
        advantages=advantages,
        policy_versions=policy_versions,
        is_replay=torch.zeros(len(completions), dtype=torch.bool),
        weights=torch.ones(len(completions)),
    )
