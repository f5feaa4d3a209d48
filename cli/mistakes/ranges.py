"""Refuses numbers that a key cannot have and that no class checks: numbers for Lightning, and far too large sizes."""

import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algorithms import ConfigError
from cli.given.places import PROJECT
from cli.keys.settings import Setting


@dataclass(frozen=True)
class Range:
    """The numbers that a key accepts."""

    least: float = -math.inf
    most: float = math.inf
    why: str = ""
    is_open: bool = False
    """Whether the two ends are excluded."""

    def refuses(self, number: float) -> str | None:
        """Return a sentence about the allowed numbers; None for an allowed number."""
        low, high = ("above", "below") if self.is_open else ("at least", "at most")
        if number < self.least or (self.is_open and number == self.least):
            return f"{low} {self.least:.12g}"
        if number > self.most or (self.is_open and number == self.most):
            return f"{high} {self.most:.12g}"
        return None


RANGES = {
    "seed_everything": Range(0, 2**32 - 1, "numpy takes no other seeds"),
    "trainer.accumulate_grad_batches": Range(1, why="an optimizer step needs a batch"),
    "trainer.check_val_every_n_epoch": Range(1, why="null leaves it to val_check_interval"),
    "trainer.gradient_clip_val": Range(0, why="it is the largest norm; null clips nothing"),
    "trainer.limit_predict_batches": Range(0, why="it is a number or a share of batches"),
    "trainer.limit_test_batches": Range(0, why="it is a number or a share of batches"),
    "trainer.limit_train_batches": Range(0, why="it is a number or a share of batches"),
    "trainer.limit_val_batches": Range(0, why="it is a number or a share of batches"),
    "trainer.log_every_n_steps": Range(1, why="it is a number of steps"),
    "trainer.max_epochs": Range(-1, why="-1 leaves it to max_steps"),
    "trainer.max_steps": Range(-1, why="-1 leaves it to max_epochs"),
    "trainer.num_nodes": Range(1, why="it is a number of machines"),
    "trainer.num_sanity_val_steps": Range(-1, why="-1 runs the whole validation, 0 none"),
    "trainer.val_check_interval": Range(
        0, why="it is a number or a share of batches between validations", is_open=True
    ),
    "model.learning.optimizer.learning_rate": Range(
        most=1.0, why="a step of AdamW moves each weight by about that much, and weights are far below 1"
    ),
    "model.learning.optimizer.weight_decay": Range(0, 1, "it is a share of each weight per learning rate"),
    "model.learning.optimizer.beta2": Range(0, 1, "it is a decay", is_open=True),
    "model.sampling.max_new_tokens": Range(1, 2**20, why="no known model reads a million tokens"),
    "data.source.num_train": Range(1, 10**7, why="each row is a picture that is drawn and kept"),
    "data.source.num_val": Range(1, 10**7, why="each row is a picture that is drawn and kept"),
    "data.source.num_test": Range(1, 10**7, why="each row is a picture that is drawn and kept"),
}
"""Key -> its range. Classes of this project check their own settings; these are limits against surplus zeros."""


# Names of counts, sizes and times; in this project's classes none of them has a meaning below 0.
_COUNT = re.compile(r"(num|max|min)_\w+|\w+_(size|steps|seconds|tokens|pixels|rows)|timeout_s|refresh_rate|alpha|eps")
_AMOUNT = Range(0, why="it is a number or an amount of something")


def check_number(setting: Setting, key: str, given: Any, where: str) -> None:
    """Refuse a number that is not finite or outside of its key's range.

    Args:
        setting: the setting.
        key: its dotted key.
        given: its value, of any type.
        where: end of the message: the file.

    Raises:
        ConfigError: with key, value and range.
    """
    if isinstance(given, bool) or not isinstance(given, int | float):
        return
    if not math.isfinite(given):
        raise ConfigError(f"{key} must be a finite number, got {given}{where}.")
    is_count = _is_ours(setting) and _COUNT.fullmatch(setting.name)
    found = RANGES.get(key, _AMOUNT if is_count else Range())
    if bound := found.refuses(given):
        raise ConfigError(f"{key} must be {bound}, got {given}: {found.why}{where}.")


def _is_ours(setting: Setting) -> bool:
    # In other classes -1 may mean "without limit".
    module = sys.modules.get(setting.owner.__module__) if setting.owner else None
    return PROJECT in Path(getattr(module, "__file__", None) or "/").parents
