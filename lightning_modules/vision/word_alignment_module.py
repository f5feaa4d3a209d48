"""Warm start of an adapter: every image token learns to equal the embedding of the word for its patch.

    picture -> frozen tower -> adapter -> image tokens (B, n, H)   |  squared difference, relative to the targets' own
    words of the patches -> tokens -> the language model's input embeddings (B, n, H)  |

A language model can copy words that it reads. When image tokens look like words from the start, ``AlignmentModule``,
which comes next, need not spend most of its steps on finding such image tokens. No forward of the language model is
computed, so a step costs a fraction of a step of ``AlignmentModule``.

Differs from the paper (R1V2, arXiv:2504.16656, section 3.1), which starts from the language model's loss.

Shapes: B pictures, n image tokens of each, H hidden size, W different words.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from algorithms import DataError, Prompt
from lightning_modules.learning import LearningConfig
from lightning_modules.policy_module import PolicyModule
from models import PolicySource, word_embeddings


class WordAlignmentModule(PolicyModule):
    """Trains an adapter towards the embeddings of words. Rows need one image and, for each image token, a text."""

    def __init__(
        self,
        policy: PolicySource,
        learning: LearningConfig = LearningConfig(),  # noqa: B008  (frozen)
        words_column: str = "patch_words",
    ) -> None:
        """Remember the settings.

        Args:
            policy: where the policy comes from.
            learning: which weights learn, and how; here the adapter.
            words_column: column of the rows with one text for each image token, in reading order.
        """
        super().__init__(policy, learning)
        self.words_column = words_column

    def training_step(self, batch: Sequence[Prompt], batch_idx: int) -> Tensor:
        """Return the relative squared difference between image tokens and targets, as a loss."""
        said, words = self._said(batch)
        loss = missed_share(said, self._targets(words))
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch))
        return self.connected(loss)

    def validation_step(self, batch: Sequence[Prompt], batch_idx: int) -> None:
        """Log the loss on held-out pictures, and the share of image tokens whose nearest word is the right one."""
        said, words = self._said(batch)
        self.log("val/loss", missed_share(said, self._targets(words)), prog_bar=True, batch_size=len(batch))
        known = sorted(set(words))
        nearest = torch.cdist(said, self._targets(known)).argmin(-1).tolist()
        right = sum(known[index] == word for index, word in zip(nearest, words, strict=True))
        self.log("val/word_accuracy", right / len(words), prog_bar=True, batch_size=len(batch))

    def _said(self, batch: Sequence[Prompt]) -> tuple[Float[Tensor, "N H"], list[str]]:
        """Return the image tokens of a batch in one row, and the right word for each of them.

        Raises:
            DataError: for a row without one text for each of its image tokens.
        """
        policy = self.loaded_policy
        features = policy.image_features([policy.encoder.encode(prompt).vision for prompt in batch])
        words: list[str] = []
        for prompt, of_images in zip(batch, features, strict=True):
            number, given = sum(len(tokens) for tokens in of_images), prompt.columns.get(self.words_column, ())
            if len(given) != number or not number:
                raise DataError(
                    f"row {prompt.key} has {len(given)} texts in {self.words_column!r} and {number} image tokens: "
                    "model.words_column names a column with one text for each image token."
                )
            words += given
        return torch.cat([tokens for of_images in features for tokens in of_images]).float(), words

    def _targets(self, words: Sequence[str]) -> Float[Tensor, "N H"]:
        different = {word: index for index, word in enumerate(dict.fromkeys(words))}
        rows = torch.tensor([different[word] for word in words], device=self.device)
        return word_embeddings(self.loaded_policy, list(different))[rows]


def missed_share(said: Float[Tensor, "N H"], targets: Float[Tensor, "N H"]) -> Float[Tensor, ""]:
    """Return the squared difference over the squared size of the targets: 0 when equal, 1 for all zeros."""
    return (said - targets).square().sum() / targets.square().sum()
