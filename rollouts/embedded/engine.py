"""The embedded engine: samples from the policy's own module with a batched loop, on any device.

Each prompt is read once and its key-value cache copied for its group; rows that have ended are dropped
from the batch; every row stops on its own. Nothing has to be handed over: the weights are the learner's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from algorithms import Completion, ConfigError, Prompt, position_seed
from rollouts.embedded.decode_cache import make_roomy
from rollouts.embedded.sampling import group_uniforms, pick_tokens
from rollouts.engine import RolloutEngine, SamplingConfig

# Dropping rows copies the cache, so it waits until a quarter of the batch has ended.
_DROP_AT = 0.25


class TransformersEngine(RolloutEngine):
    """Samples from a policy in place."""

    def __init__(self, max_rows: int = 512) -> None:
        """Set the batch limit.

        Args:
            max_rows: most completions sampled side by side; bounds the memory of the key-value cache.
        """
        if max_rows < 1:
            raise ConfigError(f"model.engine.max_rows must be at least 1, got {max_rows}: nothing could be sampled.")
        self.max_rows = max_rows
        self.policy: Any = None
        self.version = 0

    def sync(self, policy: Any, *, version: int) -> None:
        """Point at the policy; its weights are read where they are."""
        self.policy = policy
        self.version = version

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[Prompt], *, group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        """Return ``group_size`` completions for each prompt, in order."""
        was_training = self.policy.training
        self.policy.eval()
        try:
            chunk = max(1, self.max_rows // group_size)
            groups: list[list[Completion]] = []
            with self.policy.whole_weights():
                for start in range(0, len(prompts), chunk):
                    part = prompts[start : start + chunk]
                    groups += self._sample(part, group_size, sampling, position_seed(seed, "chunk", start))
            return groups
        finally:
            self.policy.train(was_training)

    def _sample(
        self, prompts: Sequence[Prompt], group_size: int, sampling: SamplingConfig, seed: int
    ) -> list[list[Completion]]:
        uniforms = None
        if sampling.temperature > 0.0:
            uniforms = group_uniforms(seed, len(prompts), group_size=group_size, num_tokens=sampling.max_new_tokens).to(
                self.policy.device
            )
        batch = _DecodeBatch.prefill(self.policy, prompts, group_size, sampling)
        for step in range(sampling.max_new_tokens):
            row_uniforms = None if uniforms is None else uniforms[batch.rows, step]
            batch.take(step, *pick_tokens(batch.logits, row_uniforms))
            if not batch.is_running.any() or step + 1 == sampling.max_new_tokens:
                break
            batch.drop_ended()
            batch.advance()
        return self._completions(batch, group_size)

    def _completions(self, batch: "_DecodeBatch", group_size: int) -> list[list[Completion]]:
        lengths = batch.lengths.tolist()
        ids, logps = batch.token_ids.cpu(), batch.logps.cpu()
        end = self.policy.end_token_id
        tokens = [row[:length] for row, length in zip(ids, lengths, strict=True)]
        ended = [len(row) > 0 and int(row[-1]) == end for row in tokens]
        bare = [row[:-1] if stop else row for row, stop in zip(tokens, ended, strict=True)]
        texts = self.policy.encoder.tokenizer.batch_decode([row.tolist() for row in bare])
        completions = [
            Completion(
                token_ids=tokens[i].clone(),
                behavior_logps=logps[i, : lengths[i]].clone(),
                text=texts[i],
                finish_reason="stop" if ended[i] else "length",
            )
            for i in range(len(tokens))
        ]
        return [completions[i : i + group_size] for i in range(0, len(completions), group_size)]


@dataclass(slots=True)
class _DecodeBatch:
    """The rows still being sampled, and the results of all rows.

    R rows in all; A of them are still in the batch. ``rows`` says which, ``is_running`` which of those
    have not ended.
    """

    policy: Any
    temperature: float
    cache: Any
    attention_mask: Tensor
    """(A, prompt + decoded so far)"""

    logits: Tensor
    """(A, V), shaped as they are sampled from."""

    rows: Tensor
    is_running: Tensor
    positions: Tensor | None
    """(A, 1) position of the next token, where the model does not count it itself."""

    last_tokens: Tensor
    token_ids: Tensor
    """(R, T)"""

    logps: Tensor
    lengths: Tensor

    @classmethod
    def prefill(
        cls, policy: Any, prompts: Sequence[Prompt], group_size: int, sampling: SamplingConfig
    ) -> "_DecodeBatch":
        """Read every prompt once and copy its cache for the group."""
        inputs = policy.prompt_inputs(prompts)
        out = policy.model(**inputs, use_cache=True, logits_to_keep=1)
        make_roomy(out.past_key_values, group_size)
        num_rows = len(prompts) * group_size
        positions = policy.next_positions(inputs)
        temperature = sampling.temperature or 1.0
        logits = policy.shape_logits(out.logits[:, -1], temperature)
        shape = (num_rows, sampling.max_new_tokens)
        return cls(
            policy=policy,
            temperature=temperature,
            cache=out.past_key_values,
            attention_mask=inputs["attention_mask"].repeat_interleave(group_size, dim=0),
            logits=logits.repeat_interleave(group_size, dim=0),
            rows=torch.arange(num_rows, device=policy.device),
            is_running=torch.ones(num_rows, dtype=torch.bool, device=policy.device),
            positions=None if positions is None else positions.repeat_interleave(group_size, dim=0),
            last_tokens=torch.empty(0),
            token_ids=torch.zeros(shape, dtype=torch.long, device=policy.device),
            logps=torch.zeros(shape, dtype=torch.float32, device=policy.device),
            lengths=torch.zeros(num_rows, dtype=torch.long, device=policy.device),
        )

    def take(self, step: int, tokens: Tensor, logps: Tensor) -> None:
        """Record one sampled token for the rows that are running; end those that ended their turn."""
        running = self.rows[self.is_running]
        self.token_ids[running, step] = tokens[self.is_running]
        self.logps[running, step] = logps[self.is_running]
        self.lengths[running] += 1
        self.is_running = self.is_running & (tokens != self.policy.end_token_id)
        self.last_tokens = tokens

    def drop_ended(self) -> None:
        """Take ended rows out of the batch when they are many."""
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
        """Feed the last tokens and get the logits of the next."""
        one = self.attention_mask.new_ones(len(self.rows), 1)
        self.attention_mask = torch.cat([self.attention_mask, one], dim=1)
        out = self.policy.model(
            input_ids=self.last_tokens[:, None],
            attention_mask=self.attention_mask,
            past_key_values=self.cache,
            use_cache=True,
            **self.policy.position_inputs(self.positions),
        )
        if self.positions is not None:
            self.positions = self.positions + 1
        self.logits = self.policy.shape_logits(out.logits[:, -1], self.temperature)
