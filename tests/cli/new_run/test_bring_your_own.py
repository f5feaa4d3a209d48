"""What docs/bring_your_own.md tells users to type for data, texts, pairs, a model and a reward, run as it stands."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from cli.app import run
from cli.new_run.command import main as new
from tests.cli.new_run.own import language_model, qwen_vl, write_model, write_pairs, write_photos, write_texts

PAGE = Path("docs/bring_your_own.md").resolve()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


def commands(section: str) -> list[list[str]]:
    """The arguments of the section's commands."""
    (block,) = blocks(section, "bash")
    lines = block.replace("\\\n", " ").strip().splitlines()
    assert len(lines) <= 2
    assert all(line.startswith("python train.py ") for line in lines)
    return [line.split()[2:] for line in lines]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with everything that the page calls ``my_``."""
    desk = tmp_path_factory.mktemp("desk")
    write_photos(desk / "my_data")
    write_pairs(desk / "my_pairs")
    write_texts(desk / "my_texts.jsonl")
    # Room for a dozen tokens of a completion, so that two steps take a second.
    write_model(desk / "my_model", context=80)
    write_model(desk / "my_other_model", qwen_vl(), context=96)
    write_model(desk / "my_language_model", language_model(), context=64)
    (desk / "my_module.py").write_text(blocks("Reward", "python")[0])
    return desk


def typed(section: str, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], Any]:
    """Run the section's commands as they stand; return what they say, and the last run."""
    said: list[str] = []
    cli = None
    for arguments in commands(section):
        capsys.readouterr()
        if arguments[0] == "new":
            assert new(arguments[1:]) == 0
        else:
            cli = run(arguments)
        said.append(capsys.readouterr().out)
    return said, cli


@pytest.mark.parametrize(
    ("section", "name"),
    [("Data", "my_run"), ("Model", "my_second"), ("Text only", "my_texts"), ("Pairs", "my_preferences")],
)
def test_two_commands_of_the_page_lead_to_a_model_of_ones_own(
    section: str, name: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    (told, _), cli = typed(section, capsys)
    assert f"written:   {name}/config.yaml\n" in told
    assert f"next:      python train.py fit --config {name}/config.yaml\n" in told
    assert cli.trainer.global_step == 2
    # What was left out would have been for want of a right limit or column.
    assert set(getattr(cli.datamodule, "rejected_fraction", {}).values()) <= {0.0}
    assert not list((desk / "runs" / name).rglob("rejected_*.json"))
    assert len(list(desk.glob(f"runs/{name}/*/export/model.safetensors"))) == 1


def test_the_reward_of_the_page_is_asked(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.syspath_prepend(desk)
    # Other tests have modules of this name.
    monkeypatch.setitem(sys.modules, "my_module", cast(ModuleType, None))
    del sys.modules["my_module"]
    first, _ = commands("Data")
    assert new([*first[1:], "--force"]) == 0
    _, cli = typed("Reward", capsys)
    assert cli.trainer.global_step == 2
    assert 0.0 < cli.trainer.callback_metrics["rollout/short"] <= 1.0
