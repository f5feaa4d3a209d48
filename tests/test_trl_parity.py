"""The loss of MPO against TRL 1.16's DPOTrainer with ``loss_type=["sigmoid", "bco_pair", "sft"]``: no shift."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from algorithms import MPOConfig, implicit_rewards, mpo_loss
from datamodules import ShapesPairs
from experiments.speed.mpo import plain_copy, trl_dataset
from lightning_modules.pair_logps import pair_logps
from models import PretrainedPolicy
from tests.test_training import policy_folder

__all__ = ["policy_folder"]
CONFIG = MPOConfig(reward_shift="none")


@pytest.fixture
def folders(policy_folder: Path, tmp_path: Path) -> tuple[str, str]:
    """A policy and a reference that differ a little."""
    reference = plain_copy(str(policy_folder), tmp_path / "reference")
    policy = PretrainedPolicy(reference).build()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.02 * parameter.std().nan_to_num() * torch.randn(parameter.shape, generator=generator))
    moved = str(tmp_path / "moved")
    policy.model.save_pretrained(moved)
    policy.processor.save_pretrained(moved)
    return moved, reference


def trl_loss(policy: str, reference: str, pairs: ShapesPairs, output: Path) -> tuple[float, torch.Tensor]:
    load: Any = AutoModelForImageTextToText.from_pretrained
    settings = DPOConfig(
        output_dir=str(output), use_cpu=True, bf16=False, gradient_checkpointing=False, max_length=None,
        loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0], beta=0.1, report_to="none",
        per_device_train_batch_size=1, disable_tqdm=True,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=load(policy, dtype=torch.float32),
        ref_model=load(reference, dtype=torch.float32),
        args=settings,
        train_dataset=trl_dataset(pairs),
        processing_class=AutoProcessor.from_pretrained(policy),
    )
    model: Any = trainer.model
    model.eval()
    trainer.train_dataset = trainer.train_dataset.select([0])
    (batch,) = list(trainer.get_train_dataloader())
    loss: Any = trainer.compute_loss(model, trainer._prepare_inputs(batch))
    loss.backward()
    return float(loss.detach()), model.model.multi_modal_projector.linear_1.weight.grad


def test_without_shift_loss_and_gradient_of_a_pair_are_those_of_trl(folders, tmp_path: Path) -> None:
    # TRL averages the third term over the tokens of a batch, the paper over those of each completion: one pair.
    pairs = ShapesPairs(num_train=4, num_val=1, root=str(tmp_path))
    pairs.prepare()
    expected, expected_gradient = trl_loss(*folders, pairs, tmp_path / "trl")
    rows = pairs.read("train", max_image_pixels=10**6)
    assert rows is not None
    policy, reference = (PretrainedPolicy(folder).build().eval() for folder in folders)
    # TRL lets a policy sample image tokens; ours leaves them out of the distribution.
    policy.banned_token_ids = reference.banned_token_ids = torch.zeros(0, dtype=torch.long)
    scored = pair_logps(policy, rows.pairs[:1])
    with torch.no_grad():
        anchored = pair_logps(reference, rows.pairs[:1]).logps
    chosen, rejected = (implicit_rewards(scored.logps[:, i], anchored[:, i], CONFIG.beta) for i in (0, 1))
    no_shift = torch.tensor(0.0)
    loss = mpo_loss(
        scored.logps[:, 0], chosen, rejected, scored.num_tokens[:, 0], shift=no_shift, num_pairs=1, config=CONFIG
    ).loss
    loss.backward()
    assert chosen.item() != pytest.approx(0.0, abs=1e-3)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    gradient = policy.model.model.multi_modal_projector.linear_1.weight.grad
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-4)
