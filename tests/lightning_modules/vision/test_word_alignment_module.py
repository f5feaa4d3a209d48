"""An adapter whose image tokens learn to look like words before the language model reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader

from algorithms import DataError, Prompt
from lightning_modules import LearningConfig, OptimizerConfig, WordAlignmentModule
from lightning_modules.vision.word_alignment_module import missed_share
from models import Policy, PolicySource, word_embeddings
from models.parts import part_modules

# A picture of the tests has 3 x 3 patches of one color.
WORDS = {"0": ["red"] * 9, "1": ["blue"] * 9, "2": ["how many green"] * 9}


class Built(PolicySource):
    """A policy that is there already."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def build(self) -> Policy:
        return self.policy


class SameBatch(L.LightningDataModule):
    """The same batch in every step of training and validation."""

    def __init__(self, rows: list[Prompt], number: int) -> None:
        super().__init__()
        self.rows, self.number = rows, number

    def train_dataloader(self) -> Any:
        return DataLoader([self.rows] * self.number, batch_size=None)  # pyright: ignore[reportArgumentType]

    def val_dataloader(self) -> Any:
        return DataLoader([self.rows], batch_size=None)  # pyright: ignore[reportArgumentType]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


def module(policy: Policy) -> WordAlignmentModule:
    optimizer = OptimizerConfig(learning_rate=3e-3, cosine=True)
    made = WordAlignmentModule(Built(policy), LearningConfig(trainable=["adapter"], optimizer=optimizer))
    made.configure_model()
    return made


def with_words(prompts: Sequence[Prompt]) -> list[Prompt]:
    return [replace(prompt, columns={"patch_words": WORDS[prompt.key]}) for prompt in prompts]


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    return {
        name: torch.cat([p.detach().flatten().clone() for each in modules for p in each.parameters()])
        for name, modules in part_modules(policy.model).items()
    }


def test_the_missed_share_is_0_for_the_targets_1_for_zeros_and_a_quarter_for_half_of_them() -> None:
    targets = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    assert missed_share(targets, targets) == 0.0
    assert missed_share(torch.zeros(2, 2), targets) == 1.0
    assert missed_share(targets / 2, targets) == pytest.approx(0.25)


def test_a_text_of_several_tokens_stands_for_their_mean(policy: Policy) -> None:
    rows = policy.model.get_input_embeddings().weight
    red, many = (policy.encoder.tokenizer.convert_tokens_to_ids(word) for word in ("red", "many"))
    one, two = word_embeddings(policy, ["red", "many red"])
    torch.testing.assert_close(one, rows[red])
    torch.testing.assert_close(two, (rows[red] + rows[many]) / 2)
    assert not one.requires_grad


def test_image_tokens_come_to_look_like_their_words_and_only_the_adapter_learns(
    policy: Policy, prompts: list[Prompt]
) -> None:
    learner, rows = module(policy), with_words(prompts)
    with torch.no_grad():
        for parameter in part_modules(policy.model)["adapter"][0].parameters():
            parameter.div_(6.0)  # as it is drawn, before the fixture sharpens it
    before = weights(policy)
    trainer = L.Trainer(
        accelerator="cpu", max_steps=100, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(learner, datamodule=SameBatch(rows, 100))
    assert trainer.callback_metrics["val/loss"] < 0.05
    assert trainer.callback_metrics["val/word_accuracy"] == 1.0
    changed = {name for name, now in weights(policy).items() if not torch.equal(now, before[name])}
    assert changed == {"adapter"}


@pytest.mark.parametrize("columns", [{}, {"patch_words": ["red"] * 8}])
def test_a_row_without_a_text_for_each_image_token_is_named(
    policy: Policy, prompts: list[Prompt], columns: dict[str, Any]
) -> None:
    bad = replace(with_words(prompts)[1], key="row-7", columns=columns)
    number = len(columns.get("patch_words", ()))
    with pytest.raises(DataError, match=f"row row-7 has {number} texts in 'patch_words' and 9 image tokens"):
        module(policy).training_step([bad], 0)


def test_a_row_without_a_picture_is_named(policy: Policy, prompts: list[Prompt]) -> None:
    bare = replace(with_words(prompts)[0], images=(), columns={"patch_words": []})
    with pytest.raises(DataError, match="row 0 has 0 texts in 'patch_words' and 0 image tokens"):
        module(policy).training_step([bare], 0)
