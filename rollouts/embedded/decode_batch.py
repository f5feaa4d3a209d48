"""The rows that are being sampled together, one token after the other.

Shapes: U prompts, G completions per prompt, R = U x G rows in all, A rows still in the batch, L prompt tokens,
S tokens read so far, T completion tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers.cache_utils import Cache

from algorithms import Prompt
from rollouts.embedded.decode_cache import make_roomy
from rollouts.engine import SamplingConfig
from rollouts.policy_view import SampledPolicy

# Share of ended rows at which they are dropped. Dropping copies the cache, so many rows are dropped at a time.
_DROP_AT = 0.25


@dataclass(slots=True)
class DecodeBatch:
    """The rows still in the batch, and the results of all rows."""

    policy: SampledPolicy
    temperature: float
    cache: Cache
    """Keys and values of A rows."""

    attention_mask: Int[Tensor, "A S"]
    logits: Float[Tensor, "A V"]
    """Logits of the next token, after temperature and banned tokens."""

    rows: Int[Tensor, " A"]
    """Index of each row of the batch among all R rows."""

    is_running: Bool[Tensor, " A"]
    """False for rows that have ended and are not dropped yet."""

    positions: Int[Tensor, "A 1"] | None
    """Position of the next token; None where the model counts positions itself."""

    last_tokens: Int[Tensor, " A"]
    token_ids: Int[Tensor, "R T"]
    logps: Float[Tensor, "R T"]
    """Log-probabilities in nats, as sampled."""

    lengths: Int[Tensor, " R"]
    """Tokens sampled so far."""

    @classmethod
    def prefill(cls, policy: SampledPolicy, prompts: Sequence[Prompt], sampling: SamplingConfig) -> "DecodeBatch":
        """Read every prompt once, and copy its cache for its group."""
        size = sampling.group_size
        inputs = policy.prompt_inputs(prompts)
        out = policy.model(**inputs, use_cache=True, logits_to_keep=1)
        make_roomy(out.past_key_values, size)
        positions = policy.next_positions(inputs)  # (U, 1)
        # Greedy sampling divides by 1: the likeliest token is the same at every temperature.
        temperature = sampling.temperature or 1.0
        logits = policy.shape_logits(out.logits[:, -1], temperature)  # (U, V)
        num_rows = len(prompts) * size
        shape, device = (num_rows, sampling.max_new_tokens), policy.device
        return cls(
            policy=policy,
            temperature=temperature,
            cache=out.past_key_values,
            # From one row per prompt to one row per completion.
            attention_mask=inputs["attention_mask"].repeat_interleave(size, dim=0),  # (R, L)
            logits=logits.repeat_interleave(size, dim=0),  # (R, V)
            rows=torch.arange(num_rows, device=device),
            is_running=torch.ones(num_rows, dtype=torch.bool, device=device),
            positions=None if positions is None else positions.repeat_interleave(size, dim=0),  # (R, 1)
            last_tokens=torch.empty(0, dtype=torch.long, device=device),
            token_ids=torch.zeros(shape, dtype=torch.long, device=device),
            logps=torch.zeros(shape, dtype=torch.float32, device=device),
            lengths=torch.zeros(num_rows, dtype=torch.long, device=device),
        )

    def record(self, step: int, tokens: Int[Tensor, " A"], logps: Float[Tensor, " A"]) -> None:
        """Store the sampled token of each running row; end the rows whose token is one that ends a turn."""
        running = self.rows[self.is_running]
        self.token_ids[running, step] = tokens[self.is_running]
        self.logps[running, step] = logps[self.is_running]
        self.lengths[running] += 1
        for end in self.policy.end_token_ids:
            self.is_running = self.is_running & (tokens != end)
        self.last_tokens = tokens

    def drop_ended(self) -> None:
        """Take ended rows out of the batch when there are many of them."""
        if (~self.is_running).float().mean() < _DROP_AT:
            return
        keep = self.is_running.nonzero().squeeze(1)
        self.cache.batch_select_indices(keep)
        if self.positions is not None:
            self.positions = self.positions[keep]
        self.attention_mask = self.attention_mask[keep]
        self.rows, self.last_tokens = self.rows[keep], self.last_tokens[keep]
        self.is_running = self.is_running[keep]

    def advance(self) -> None:
        """Read the last tokens, and compute the logits of the next ones."""
        one = self.attention_mask.new_ones(len(self.rows), 1)
        self.attention_mask = torch.cat([self.attention_mask, one], dim=1)  # (A, S + 1)
        out = self.policy.model(
            input_ids=self.last_tokens[:, None],  # (A, 1)
            attention_mask=self.attention_mask,
            past_key_values=self.cache,
            use_cache=True,
            **self.policy.position_inputs(self.positions),
        )
        if self.positions is not None:
            self.positions = self.positions + 1
        self.logits = self.policy.shape_logits(out.logits[:, -1], self.temperature)

    def sampled(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return tokens and log-probabilities of all R rows, each of its own length, on the CPU."""
        ids, logps, lengths = self.token_ids.cpu(), self.logps.cpu(), self.lengths.tolist()
        # Cloned: a slice would keep the whole (R, T) tensor in memory as long as one completion lives.
        return (
            [row[:length].clone() for row, length in zip(ids, lengths, strict=True)],
            [row[:length].clone() for row, length in zip(logps, lengths, strict=True)],
        )
