"""The bar says what is done, and counts epochs as people do, where there are any to count."""

from types import SimpleNamespace

import pytest

from callbacks import RolloutProgressBar


@pytest.mark.parametrize(
    ("max_epochs", "epoch", "text"),
    [
        (-1, 0, "Training"),
        (-1, 2, "Training, epoch 3"),
        (1, 0, "Training"),
        (3, 0, "Training, epoch 1 of 3"),
        (3, 2, "Training, epoch 3 of 3"),
    ],
)
def test_epochs_are_counted_from_one_and_a_single_one_is_not_counted(max_epochs: int, epoch: int, text: str) -> None:
    bar = RolloutProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=max_epochs)  # pyright: ignore[reportAttributeAccessIssue]
    assert bar._get_train_description(epoch) == text


def test_a_title_stands_for_training_and_predicting() -> None:
    bar = RolloutProgressBar()
    assert bar.predict_description == "Predicting"
    bar.title = "Building pairs"
    bar._trainer = SimpleNamespace(max_epochs=2)  # pyright: ignore[reportAttributeAccessIssue]
    assert bar.predict_description == "Building pairs"
    assert bar._get_train_description(1) == "Building pairs, epoch 2 of 2"
