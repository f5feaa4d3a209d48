"""An engine for tests whose completions are written down, so that what a command logs can be computed by hand."""

from collections.abc import Sequence
from typing import Any

import torch

from algorithms import Completion, Prompt
from rollouts import RolloutEngine, SamplingConfig


class Scripted(RolloutEngine):
    """Says of each prompt what a config says, by the prompt's key; always the same, whatever the sampling."""

    def __init__(self, said: dict[str, str], otherwise: str = "nothing") -> None:
        self.said, self.otherwise = said, otherwise
        self.policy: Any = None

    def sync(self, policy: Any, *, version: int) -> None:
        self.policy = policy

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        return [[self._completion(prompt)] * sampling.group_size for prompt in prompts]

    def _completion(self, prompt: Prompt) -> Completion:
        ids = torch.tensor(self.policy.encoder.tokenizer("yes")["input_ids"])
        return Completion(
            token_ids=ids, behavior_logps=torch.zeros(len(ids)), finish_reason="stop",
            text=self.said.get(prompt.key, self.otherwise),
        )  # fmt: skip
