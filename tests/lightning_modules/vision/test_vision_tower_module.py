"""The tower's classifiers: one for the things, and one for each further column."""

import math
from dataclasses import replace

import torch

from algorithms import Prompt
from lightning_modules import OptimizerConfig, VisionTowerModule
from models import TinyVisionTower

NAMES, PLACES = ["red", "blue"], ["left", "center", "right"]


def tower(**further: list[str]) -> VisionTowerModule:
    torch.manual_seed(0)
    made = VisionTowerModule(TinyVisionTower(hidden_size=32, num_layers=1), NAMES, OptimizerConfig(), dict(further))
    with torch.no_grad():
        for classifier in (made.classifier, *made.further_classifiers.values()):
            classifier.weight.zero_()  # pyright: ignore[reportCallIssue, reportArgumentType]
            classifier.bias.zero_()  # pyright: ignore[reportCallIssue, reportArgumentType]
    made.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return made


def labelled(prompts: list[Prompt]) -> list[Prompt]:
    columns = {"cells": ["red", "blue", "red"] * 3, "place": PLACES * 3}
    return [replace(prompt, columns=columns) for prompt in prompts]


def test_the_loss_of_a_further_column_is_added(prompts: list[Prompt]) -> None:
    alone = tower().training_step(labelled(prompts), 0)
    both = tower(place=PLACES).training_step(labelled(prompts), 0)
    # Of classifiers that know nothing.
    torch.testing.assert_close(alone, torch.tensor(math.log(2)))
    torch.testing.assert_close(both, torch.tensor(math.log(2) + math.log(3)))


def test_a_further_column_leaves_the_tower_and_the_first_classifier_as_they_are_drawn() -> None:
    torch.manual_seed(0)
    plain = VisionTowerModule(TinyVisionTower(), NAMES, OptimizerConfig())
    torch.manual_seed(0)
    further = VisionTowerModule(TinyVisionTower(), NAMES, OptimizerConfig(), {"place": PLACES})
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, further.state_dict()[name])
