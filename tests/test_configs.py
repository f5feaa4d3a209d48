"""Every file under configs/ is accepted by the parser, overlays on top of what their first line names."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from algorithms import ConfigError
from cli.app import run
from cli.given.overlays import bases_of, check_overlays
from cli.given.renamed import new_class
from cli.given.settings import config_files, read_config, texts
from tests.conftest import long

TINY = "configs/tiny"
GRPO, MPO, MPO_ONLINE = f"{TINY}/grpo.yaml", f"{TINY}/mpo.yaml", f"{TINY}/overlays/mpo_online.yaml"
BIASED, CALIBRATED = f"{TINY}/overlays/grpo_biased.yaml", f"{TINY}/overlays/grpo_calibrated.yaml"
MPO_BIASED = f"{TINY}/overlays/mpo_biased.yaml"
# An overlay is tried on the first of these that its first line accepts and that it is not in.
BASES = [
    [GRPO],
    [MPO],
    [MPO, MPO_ONLINE, MPO_BIASED],
    [MPO, MPO_ONLINE],
    [GRPO, BIASED],
    [GRPO, BIASED, CALIBRATED],
    [f"{TINY}/stages/adapter.yaml"],
]
# Those of evaluations are read in tests/evaluation.
ALL = sorted(str(path) for path in Path("configs").rglob("*.yaml") if path.parent.name != "evaluation")
OVERLAYS = [file for file in ALL if bases_of(read_config(file))]
OVERLAY_FOLDERS = ("ablations", "datasets", "engines", "hardware", "overlays")
PREDICTS = ("pairs", "prompt_pool")


def is_accepted(files: list[str]) -> bool:
    try:
        check_overlays([read_config(file) for file in files])
    except ConfigError:
        return False
    return True


def below(overlay: str) -> list[str]:
    return next(base for base in BASES if overlay not in base and is_accepted([*base, overlay]))


def commands() -> list[list[str]]:
    """The arguments that try each config."""
    found: list[list[str]] = []
    for name in ALL:
        # Presets are read one by one in tests/datamodules/test_presets.py; here one of prompts and one of pairs.
        if Path(name).parent.name == "datasets" and Path(name).stem not in ("geometry3k", "mmpr"):
            continue
        stack = [*(below(name) if name in OVERLAYS else ()), name]
        command = "predict" if Path(name).stem in PREDICTS else "fit"
        found.append([command, *(f"--config={file}" for file in stack)])
    return found


def documented() -> list[list[str]]:
    """The arguments of every ``python train.py`` in a config's comments."""
    lines = [line for name in ALL for line in Path(name).read_text().splitlines()]
    found = [re.search(r"#.*\bpython train\.py ([^`]*)", line) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


def test_a_file_begins_as_an_overlay_where_and_only_where_it_lies_in_a_folder_of_overlays() -> None:
    in_folders = [file for file in ALL if any(part in OVERLAY_FOLDERS for part in Path(file).parts)]
    assert in_folders == OVERLAYS


@pytest.mark.parametrize("base", [f"{TINY}/stages/adapter.yaml", MPO, "configs/r1v2/grpo.yaml"])
@pytest.mark.parametrize("overlay", ["cpu2", "fsdp2", "multi_node"])
def test_hardware_is_laid_over_any_config(base: str, overlay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(["fit", f"--config={base}", f"--config=configs/hardware/{overlay}.yaml", "--print_config"])
    assert stopped.value.code == 0
    assert "lightning_modules.FSDP2Strategy" in capsys.readouterr().out


def cases() -> list[Any]:
    """Every command; those with an overlay of an ablation, which are many, are left to ``make test-long``."""
    names = [command[-1].removeprefix("--config=") for command in commands()]
    return [
        long(command, name=name) if name.startswith("configs/ablations/") else pytest.param(command, id=name)
        for command, name in zip(commands(), names, strict=True)
    ]


@pytest.mark.parametrize("command", cases())
def test_a_config_is_accepted(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run([*command, "--print_config"])
    assert stopped.value.code == 0
    assert "class_path" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", documented(), ids=lambda arguments: " ".join(arguments)[-60:])
def test_a_command_in_a_comment_names_files_that_exist_and_fit_each_other(arguments: list[str]) -> None:
    assert arguments[0] in ("fit", "predict", "inspect")
    files = config_files(arguments)
    assert files
    assert [file.source for file in files if file.is_missing] == []
    check_overlays(files)


def test_every_overlay_shows_the_command_that_it_is_for() -> None:
    last = [config_files(arguments)[-1].source for arguments in documented()]
    assert [file for file in OVERLAYS if file not in last] == []


def test_configs_name_classes_as_they_are_called_today() -> None:
    values = {value for name in ALL for value in texts(read_config(name).content)}
    assert {value for value in values if new_class(value)} == set()
