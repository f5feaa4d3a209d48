"""The hidden states that predict the tokens of completions, with no token read twice and none of padding.

    prompts (U), completions (B) -> one row (S): every prompt once, its completions behind it
                                 -> one forward, in which a completion sees its prompt and itself
                                 -> the states that predict completion tokens (N)

On a CPU there are several rows of some thousand tokens each. No state is kept between two forwards, so activations may
be computed again in backward. Ranks with sharded weights gather them in every forward, so each rank runs exactly one.
The ranks agree on whether images are read; a rank without images then reads a blank image and adds 0 times its
features. Where images are kept, the ranks agree on whether the tower runs, and apart from that on whether the adapter
does.

Shapes: U unique prompts, B rows, S tokens of the packed row, T completion tokens, N completion tokens of all rows, H
hidden size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from algorithms import Prompt
from models.reading.attention import pack, packed
from models.reading.kept_images import BLANK
from models.sharding import is_sharded, largest_over_ranks

if TYPE_CHECKING:
    from models.policy import Policy


# Activations of many more tokens leave the caches of a CPU, and element-wise layers then wait for memory.
_CACHED_TOKENS = 4096


def completion_hidden(
    policy: "Policy",
    prompts: Sequence[Prompt],
    rows: Int[Tensor, " B"],
    completion_ids: Int[Tensor, "B T"],
    is_completion: Bool[Tensor, "B T"],
) -> Float[Tensor, "N H"]:
    """Return the last hidden states that predict each completion token, row by row; arguments as in Policy."""
    pictured = [prompt for prompt in prompts if prompt.images]
    has_images, needs_tower = bool(pictured), policy.kept_images.lacks(pictured or [BLANK])
    any_rank_has_images, any_rank_needs_tower = largest_over_ranks(policy, has_images, needs_tower)
    if any_rank_has_images and any_rank_needs_tower and not needs_tower:
        policy.run_tower_on_blank_image()
    zero = policy.zero_from_blank_image() if any_rank_has_images and not has_images else 0.0
    parts = _parts(policy, prompts, rows, is_completion)
    if len(parts) == 1:
        return _read(policy, prompts, rows, completion_ids, is_completion) + zero
    places: list[Tensor] = []
    hidden: list[Tensor] = []
    # The place of each completion token among the tokens of all rows.
    place = is_completion.flatten().cumsum(0).view_as(is_completion) - 1
    for part in parts:
        members = torch.isin(rows, part).nonzero().squeeze(1)
        of_part = is_completion[members]
        its_prompts = [prompts[i] for i in part.tolist()]
        hidden.append(_read(policy, its_prompts, rows[members] - part[0], completion_ids[members], of_part))
        places.append(place[members][of_part])
    order = torch.cat(places)
    together = torch.cat(hidden)
    is_in_order = bool((order.diff() == 1).all())
    return (together if is_in_order else together.index_select(0, order.argsort())) + zero


def _parts(
    policy: "Policy", prompts: Sequence[Prompt], rows: Int[Tensor, " B"], is_completion: Bool[Tensor, "B T"]
) -> list[Int[Tensor, " u"]]:
    """Return the prompts of each forward by index: several forwards on a CPU with whole weights, else one."""
    every = torch.arange(len(prompts), device=rows.device)
    if policy.device.type != "cpu" or is_sharded(policy):
        return [every]
    lengths = torch.tensor([policy.encoder.length(prompt) for prompt in prompts])
    lengths.index_add_(0, rows, is_completion.sum(1))
    # A forward reads the prompts whose last token lies within the same multiple of the limit.
    number = (lengths.cumsum(0) - 1) // _CACHED_TOKENS
    return list(every.split(number.unique_consecutive(return_counts=True)[1].tolist()))


def _read(
    policy: "Policy",
    prompts: Sequence[Prompt],
    rows: Int[Tensor, " B"],
    completion_ids: Int[Tensor, "B T"],
    is_completion: Bool[Tensor, "B T"],
) -> Float[Tensor, "N H"]:
    """Return the hidden states of one packed row."""
    inputs = policy.prompt_inputs(prompts)
    is_prompt = inputs["attention_mask"].bool()  # (U, L)
    layout = pack(is_prompt.sum(1), rows, is_completion.sum(1))
    # The last token of a completion predicts nothing.
    is_read = is_completion & nn.functional.pad(is_completion[:, 1:], (0, 1))
    ids = torch.cat([inputs["input_ids"][is_prompt], completion_ids[is_read]])  # (S,)
    positions = layout.positions(policy.prompt_positions(inputs), is_prompt)  # (A, S)
    # The model takes features in the order of the image tokens, which is the order of the prompts here too.
    images = {key: inputs[key] for key in ("mm_encoder_outputs",) if key in inputs}
    decoder: Any = policy.model.get_decoder()
    with packed(layout, decoder.config.num_hidden_layers):
        read = policy.model.base_model(
            input_ids=ids[None],
            # Without a mask transformers would guess from the positions where each text begins.
            attention_mask=torch.ones_like(ids)[None],
            # M-RoPE has its axes in front of the batch, which has one row.
            position_ids=positions if len(positions) == 1 else positions[:, None],
            use_cache=False,
            **images,
        )
    return read.last_hidden_state[0].index_select(0, layout.predictors)
