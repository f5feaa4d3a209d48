"""A learned reward: the score of a preference reward model (R1V2, arXiv:2504.16656, section 3.2)."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt


class Scorer(Protocol):
    """Where a reward model comes from, such as ``models.PretrainedRewardModel``."""

    def build(self) -> Any:
        """Return a ``torch.nn.Module`` with ``scores(prompts, texts) -> Tensor (B,)``."""
        ...


class PreferenceReward:
    """The score that a reward model gives to each completion.

    Scores are unbounded and have no zero: Skywork-VL-Reward's run from about -15 to 8. Only differences between
    completions of one prompt mean anything. Next to rule rewards of 0 and 1 they need a small weight, or an answer
    that pleases outweighs one that is right. And they hardly ever tie, so they would turn every group of completions
    into an effective one, also where all are equally right: a preference model is no rule, unless its part says so.

    The model is loaded at the first call and stays outside the policy's checkpoints, gradients and ranks.
    """

    is_rule = False

    def __init__(self, scorer: Scorer, batch_size: int = 64, device: str | None = None) -> None:
        """Remember the settings; the model loads at the first call.

        Args:
            scorer: where the reward model comes from.
            batch_size: completions per forward; lower it when memory runs out.
            device: where the model lives; null is this process's GPU, or the CPU without one.
        """
        if batch_size < 1:
            raise ConfigError(
                f"batch_size of the preference reward must be at least 1, got {batch_size}: it is the number of "
                "completions that are scored at once."
            )
        self.scorer, self.batch_size, self.device = scorer, batch_size, device
        self._model: Any = None

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion, in their order."""
        model = self._loaded_model()
        scores = [0.0] * len(completions)
        with torch.no_grad():
            for batch in self._batches(prompts, completions):
                found = model.scores([prompts[i] for i in batch], [completions[i].text for i in batch])
                for row, score in zip(batch, found.tolist(), strict=True):
                    scores[row] = score
        return scores

    def _batches(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Iterator[list[int]]:
        """Yield the rows of each batch, alike in length, so that little of a batch is padding."""

        def length(row: int) -> tuple[int, int]:
            # An image is hundreds of tokens, more than most texts.
            return len(prompts[row].images), len(prompts[row].question) + len(completions[row].text)

        rows = sorted(range(len(completions)), key=length)
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def _loaded_model(self) -> Any:
        if self._model is None:
            # Loading draws initial weights that it overwrites: a run must not depend on when that happens.
            with torch.random.fork_rng(devices=[]):
                model = self.scorer.build()
            self._model = model.to(self.device or _own_device()).eval().requires_grad_(False)
        return self._model


def _own_device() -> str:
    """Return the accelerator that Lightning gave to this process, or the CPU."""
    return f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
