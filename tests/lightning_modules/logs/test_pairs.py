"""Means over held-out preference pairs."""

import torch

from lightning_modules.logs.pairs import PairEvaluation


def computed(evaluation: PairEvaluation) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in evaluation.compute().items()}


def test_every_pair_has_the_same_weight_in_batches_of_different_sizes() -> None:
    evaluation = PairEvaluation()
    evaluation.update(torch.tensor(2.0), torch.tensor([[1.0, 0.0]]), is_contrastive=True)
    evaluation.update(torch.tensor(1.0), torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 3.0]]), is_contrastive=True)
    assert computed(evaluation) == {
        "loss": 1.25, "chosen_reward": 0.25, "rejected_reward": 1.25, "margin": -1.0, "preference_accuracy": 0.25,
    }  # fmt: skip


def test_without_a_contrast_only_the_loss_is_measured() -> None:
    evaluation = PairEvaluation()
    evaluation.update(torch.tensor(2.0), torch.zeros(3, 2), is_contrastive=False)
    assert computed(evaluation) == {"loss": 2.0}


def test_a_reset_forgets_the_pairs() -> None:
    evaluation = PairEvaluation()
    evaluation.update(torch.tensor(2.0), torch.zeros(3, 2), is_contrastive=True)
    evaluation.reset()
    assert computed(evaluation) == {}
