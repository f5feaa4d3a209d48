"""A learned reward: the score of a preference reward model (R1V2, arXiv:2504.16656, section 3.2)."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from algorithms.errors import check_at_least
from algorithms.records import Completion, Prompt


class Scorer(Protocol):
    """Where a reward model comes from, such as ``models.PretrainedRewardModel``."""

    # Any: the command line would refuse a source whose build() is annotated with another class than here.
    def build(self) -> Any:
        """Return a ``torch.nn.Module`` that is a ``ScoringModel``."""
        ...


class ScoringModel(Protocol):
    """The method of a reward model that is used here."""

    def scores(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        """Return one score per completion, (B,)."""
        ...


class PreferenceReward:
    """The score that a reward model gives to each completion.

    Scores are unbounded and have no zero: those of Skywork-VL-Reward lie between about -15 and 8. Only differences
    between completions of one prompt have a meaning. Next to rule rewards of 0 and 1 they need a small weight, or a
    preferred answer outweighs a right one. And two scores are hardly ever equal, so every group of completions would be
    effective, also when all completions are right. Therefore a preference model is no rule, unless ``is_rule`` of its
    part is true.

    The model is loaded at the first call and stays outside the policy's checkpoints, gradients and ranks.
    """

    is_rule = False

    def __init__(self, scorer: Scorer, batch_size: int = 64, device: str | None = None) -> None:
        """Keep the settings; the model loads at the first call.

        Args:
            scorer: where the reward model comes from.
            batch_size: completions per forward; lower it when memory runs out.
            device: where the model is; null: this process's GPU, or the CPU without one.
        """
        check_at_least(
            "batch_size of the preference reward", batch_size, 1, "it is the number of completions at a time"
        )
        self.scorer, self.batch_size, self.device = scorer, batch_size, device

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return one score per completion, in their order."""
        scores = [0.0] * len(completions)
        with torch.no_grad():
            for batch in self._batches(prompts, completions):
                # (B,), in the order of the batch; written to the rows that the batch was made from.
                found = self._model.scores([prompts[i] for i in batch], [completions[i].text for i in batch])
                for row, score in zip(batch, found.tolist(), strict=True):
                    scores[row] = score
        return scores

    def _batches(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Iterator[list[int]]:
        """Yield the rows of each batch, of similar length, so that little of a batch is padding."""

        def length(row: int) -> tuple[int, int]:
            # An image has hundreds of tokens, more than most texts, so images count first.
            return len(prompts[row].images), len(prompts[row].question) + len(completions[row].text)

        rows = sorted(range(len(completions)), key=length)
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    @cached_property
    def _model(self) -> ScoringModel:
        # Loading draws initial weights and overwrites them. The draws must not move the run's own generator,
        # or results would depend on when the model is loaded.
        with torch.random.fork_rng(devices=[]):
            model = self.scorer.build()
        return model.to(self.device or _own_device()).eval().requires_grad_(False)


def _own_device() -> str:
    """Return the accelerator that Lightning gave to this process, or the CPU."""
    return f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
