"""The row of a rank without samples."""

import pytest
import torch

from algorithms import ExperienceBatch, GRPOConfig, StepSize, grpo_loss
from algorithms.experience_batch import placeholder_row


@pytest.mark.parametrize("has_engine_logps", [False, True])
def test_a_placeholder_teaches_nothing(has_engine_logps: bool) -> None:
    row = placeholder_row(3, 7, has_engine_logps=has_engine_logps)
    logps = torch.tensor([[-2.0]], requires_grad=True)
    config = GRPOConfig(engine_ratio_cap=2.0 if has_engine_logps else None)
    out = grpo_loss(logps, row, size=StepSize(1.0, 1.0, 1), config=config)
    out.loss.backward()
    assert logps.grad is not None
    assert out.loss == 0.0 == logps.grad.abs().sum()
    assert (row.prompt_uids.tolist(), row.completion_ids.tolist()) == ([3], [[7]])


@pytest.mark.parametrize("has_engine_logps", [False, True])
def test_a_placeholder_has_the_columns_of_the_other_ranks(has_engine_logps: bool) -> None:
    row = placeholder_row(3, 7, has_engine_logps=has_engine_logps)
    assert ("engine_logps" in row.columns()) is has_engine_logps
    assert len(ExperienceBatch.cat([row, row])) == 2
