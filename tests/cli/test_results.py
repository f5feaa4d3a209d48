"""Validation and test end with one line for each metric, in numbers that can be read."""

import math
from pathlib import Path

import pytest
import torch

from cli.app import run
from cli.results import results
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]


def test_numbers_have_the_digits_that_a_reader_needs() -> None:
    metrics = {"b": torch.tensor(0.37602365), "a": 21.734863, "c": 0.00012345, "d": 0.0, "e": math.nan, "f": 512}
    values = [line.split()[1] for line in results(metrics).splitlines()]
    assert values == ["21.7349", "0.376", "0.0001234", "0", "nan", "512"]
    assert results({}) == ""


def test_validate_prints_its_metrics_and_says_so_only_once(
    policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = run(arguments("validate", policy_folder))
    text = capsys.readouterr().out
    assert text == results(cli.trainer.callback_metrics)
    assert "val/greedy_accuracy" in text
    run(arguments("validate", policy_folder, "--verbose=false"))
    assert capsys.readouterr().out == ""
