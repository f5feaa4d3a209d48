"""The hidden states that predict the tokens of completions, with as little computed twice as possible.

    prompts (U) -> read once -> keys and values -> shared by their completions (B), with their gradient
    completions -> sorted by length into groups -> each group padded to its own longest

Ranks that share weights gather them in every forward, so that all must run the same number of forwards. They agree on
the number of groups and on whether an image is read. A rank with fewer groups reads a row again and drops the result;
a rank without images reads a blank one and adds 0.

Shapes: U unique prompts, B rows, b rows of a group, L prompt tokens, T completion tokens, N completion tokens of all
rows, H hidden size.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache

from algorithms import Prompt
from models.sharding import largest_over_ranks

if TYPE_CHECKING:
    from models.policy import Policy

# A group should be worth a forward of its own.
_ROWS_OF_GROUP = 32
_MAX_GROUPS = 4


def completion_hidden(
    policy: "Policy",
    prompts: Sequence[Prompt],
    rows: Int[Tensor, " B"],
    completion_ids: Int[Tensor, "B T"],
    is_completion: Bool[Tensor, "B T"],
) -> Float[Tensor, "N H"]:
    """Return the last hidden states that predict each completion token, row by row; arguments as in Policy."""
    # Gradient checkpointing keeps no cache, so that completions cannot share the reading of their prompt.
    per_row = policy.model.is_gradient_checkpointing and policy.training
    has_images = any(prompt.images for prompt in prompts)
    num_groups, any_rank_has_images = largest_over_ranks(
        policy, 1 if per_row else num_length_groups(len(rows)), has_images
    )
    zero = policy.zero_from_blank_image() if any_rank_has_images and not has_images else 0.0
    if completion_ids.shape[1] == 1:
        # The last token of a completion is never read, so that nothing would be left to read behind the prompt.
        completion_ids, is_completion = (nn.functional.pad(t, (0, 1)) for t in (completion_ids, is_completion))
    if per_row:
        return _read_prompt_per_row(policy, prompts, rows, completion_ids, is_completion) + zero
    return _read_prompt_once(policy, prompts, rows, completion_ids, is_completion, num_groups) + zero


def _read_prompt_once(
    policy: "Policy",
    prompts: Sequence[Prompt],
    rows: Tensor,
    completion_ids: Tensor,
    is_completion: Tensor,
    num_groups: int,
) -> Float[Tensor, "N H"]:
    """Read every prompt once, then its completions group by group."""
    inputs = policy.prompt_inputs(prompts)
    prompts_read = policy.model.base_model(**inputs, use_cache=True)
    positions = policy.next_positions(inputs)
    hidden: list[Tensor] = []
    places: list[Tensor] = []
    for group in length_groups(is_completion.sum(1), num_groups):
        # Where other ranks have more groups: read a row again, and sort its states behind all others.
        offset = 0 if len(group) else is_completion.numel()
        group = group if len(group) else rows.new_zeros(1)
        longest = max(2, int(is_completion[group].sum(1).max()))
        ids, is_token = completion_ids[group, :longest], is_completion[group, :longest]
        first = prompts_read.last_hidden_state[rows[group], -1:]  # (b, 1, H): predicts the first completion token
        attended = torch.cat([inputs["attention_mask"][rows[group]], is_token[:, :-1].long()], dim=1)
        starts = None if positions is None else positions[rows[group]]
        cache = _select_rows(prompts_read.past_key_values, rows[group])
        rest = _continue(policy, cache, ids[:, :-1], attended, starts)
        hidden.append(torch.cat([first, rest], dim=1)[is_token])
        row, column = is_token.nonzero(as_tuple=True)
        # Where each state belongs in the B x T completions, row by row.
        places.append(group[row] * completion_ids.shape[1] + column + offset)
    order = torch.cat(places).argsort()[: int(is_completion.sum())]  # (N,)
    return torch.cat(hidden)[order]


def num_length_groups(num_rows: int) -> int:
    """Return into how many groups so many rows are worth being split."""
    return min(_MAX_GROUPS, max(1, num_rows // _ROWS_OF_GROUP))


def length_groups(lengths: Int[Tensor, " B"], num_groups: int) -> Sequence[Int[Tensor, " b"]]:
    """Return rows of similar length together, in groups of equal size; the last are empty when rows are few."""
    return lengths.argsort(stable=True).tensor_split(num_groups)


def _continue(policy: "Policy", cache: Cache, ids: Tensor, attended: Tensor, starts: Tensor | None) -> Tensor:
    """Return hidden states (b, T, H) of completions whose prompts are in the cache."""
    steps = torch.arange(ids.shape[1], device=ids.device)
    out = policy.model.base_model(
        input_ids=ids,
        attention_mask=attended,
        past_key_values=cache,
        use_cache=True,
        **policy.position_inputs(None if starts is None else starts + steps),  # (b, 1) + (T,)
    )
    return out.last_hidden_state


def _select_rows(cache: Cache, rows: Tensor) -> Cache:
    """Return a cache with these rows of another, which stays as it is; gradients pass."""
    # Copies of the objects alone: selecting rows makes new tensors.
    selected = copy.copy(cache)
    selected.layers = [copy.copy(layer) for layer in cache.layers]
    selected.batch_select_indices(rows)
    return selected


def _read_prompt_per_row(
    policy: "Policy", prompts: Sequence[Prompt], rows: Tensor, completion_ids: Tensor, is_completion: Tensor
) -> Float[Tensor, "N H"]:
    """Read a copy of the prompt in every row, its completion behind it."""
    inputs = policy.prompt_inputs(prompts, rows)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], completion_ids], dim=1)  # (B, L + T)
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], is_completion.long()], dim=1)
    for name in policy.family.token_kind_inputs:
        # Absent where no prompt has an image.
        if name in inputs:
            inputs[name] = torch.cat([inputs[name], torch.zeros_like(completion_ids)], dim=1)
    hidden = policy.model.base_model(**inputs, use_cache=False).last_hidden_state
    # One place earlier than the completion: each state predicts the next token.
    return hidden[:, -completion_ids.shape[1] - 1 : -1][is_completion]
