"""Lengths of prompts are measured once: not again in a later run, and not by every rank."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from algorithms import Prompt
from datamodules.rows.images import ImageFile
from datamodules.streams import prompt_lengths
from datamodules.streams.prompt_lengths import RememberedLengths
from tests.datamodules.public_layouts.pieces import save


class Counts:
    """A module that counts words, and how often it was asked."""

    def __init__(self, template: str = "a") -> None:
        self.asked: list[str] = []
        tokenizer = SimpleNamespace(chat_template=template, get_vocab=lambda: {"x": 0})
        self.loaded_policy = SimpleNamespace(encoder=SimpleNamespace(tokenizer=tokenizer, image_processor=None))

    def prompt_length(self, prompt: Prompt) -> int:
        self.asked.append(prompt.question)
        if prompt.question == "bad":
            raise ValueError("cannot be read")
        return len(prompt.question.split())


def prompts(folder: Path, *questions: str) -> list[Prompt]:
    save(1, folder / "1.png")
    return [
        Prompt(uid=i, key=str(i), question=question, images=(ImageFile(folder / "1.png"),))
        for i, question in enumerate(questions)
    ]


def measured(folder: Path, module: Any, rows: list[Prompt], rank: int = 0, num_ranks: int = 1) -> list[int]:
    lengths = RememberedLengths(module, folder)
    lengths.measure(rows, rank, num_ranks)
    return [lengths.prompt_length(prompt) for prompt in rows]


def test_a_second_run_asks_for_nothing_that_the_first_has_measured(tmp_path: Path) -> None:
    rows = prompts(tmp_path, "one two", "three")
    first, second = Counts(), Counts()
    assert measured(tmp_path, first, rows) == measured(tmp_path, second, rows) == [2, 1]
    assert (first.asked, second.asked) == (["one two", "three"], [])


@pytest.mark.parametrize("change", ["question", "image", "reader"])
def test_what_has_changed_is_measured_again(tmp_path: Path, change: str) -> None:
    rows = prompts(tmp_path, "one two")
    measured(tmp_path, Counts(), rows)
    if change == "question":
        rows = prompts(tmp_path, "one two three")
    if change == "image":
        os.utime(tmp_path / "1.png", ns=(1, 1))
    again = Counts("other" if change == "reader" else "a")
    measured(tmp_path, again, rows)
    assert len(again.asked) == 1


def test_ranks_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = prompts(tmp_path, "one", "one two", "one two three")
    gathered: list[dict[str, Any]] = []

    def gather(mine: dict[str, Any]) -> list[dict[str, Any]]:
        gathered.append(mine)
        return gathered

    monkeypatch.setattr(prompt_lengths, "gather_ranks", gather)
    modules = [Counts(), Counts()]
    RememberedLengths(modules[1], tmp_path).measure(rows, 1, 2)
    assert measured(tmp_path, modules[0], rows, 0, 2) == [1, 2, 3]
    assert [module.asked for module in modules] == [["one", "one two three"], ["one two"]]


def test_a_prompt_that_cannot_be_measured_fails_where_it_is_judged(tmp_path: Path) -> None:
    lengths = RememberedLengths(Counts(), tmp_path)
    rows = prompts(tmp_path, "bad", "good")
    lengths.measure(rows, 0, 1)
    assert lengths.prompt_length(rows[1]) == 1
    with pytest.raises(ValueError, match="cannot be read"):
        lengths.prompt_length(rows[0])


@pytest.mark.parametrize("damage", [lambda file: file.write_text("{"), lambda file: file.unlink()])
def test_a_broken_file_is_written_anew(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    rows = prompts(tmp_path, "one two")
    measured(tmp_path, Counts(), rows)
    (file,) = (tmp_path / "prompt_lengths").iterdir()
    damage(file)
    assert measured(tmp_path, Counts(), rows) == [2]
    assert list(json.loads(file.read_text()).values()) == [2]
