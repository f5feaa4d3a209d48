"""``--help`` leads to every key, one screen at a time."""

import re

import pytest

from cli.app import main
from cli.given.settings import config_files
from cli.help.table import table
from cli.keys.chosen import known_keys, whole

GRPO = "--config=configs/tiny/grpo.yaml"
SCREEN = 50  # lines


def page(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_the_first_page_of_a_command_is_one_screen_that_names_what_leads_on(command: str, capsys) -> None:
    text = page([command, "--help"], capsys)
    assert len(text.splitlines()) <= 24
    for way in (
        "--print_config",
        "--help trainer",
        "--help model",
        "--help data",
        "--help callbacks",
        "configs/README.md",
    ):
        assert f"{command} --config FILE {way}" in text or way in text


def test_help_without_a_command_lists_the_commands(capsys) -> None:
    for arguments in (["--help"], ["-h"]):
        text = page(arguments, capsys)
        assert all(re.search(rf"^  {name} +\w", text, re.MULTILINE) for name in ("fit", "validate", "test", "predict"))


@pytest.mark.parametrize("config", ["tiny/grpo", "tiny/mpo", "qwen2_5_vl/grpo", "r1v2/align"])
@pytest.mark.parametrize("section", ["trainer", "model", "data", "callbacks"])
def test_the_keys_of_a_section_are_one_screen(config: str, section: str, capsys) -> None:
    text = page(["fit", f"--config=configs/{config}.yaml", "--help", section], capsys)
    assert len(text.splitlines()) <= SCREEN
    assert all(len(line) <= 160 for line in text.splitlines() if not line.startswith("Classes"))


def test_every_key_of_model_and_data_has_a_meaning(capsys) -> None:
    for config in ("tiny/grpo", "tiny/mpo"):
        for section in ("model", "data"):
            lines = page(["fit", f"--config=configs/{config}.yaml", "--help", section], capsys).splitlines()
            rows = [line for line in lines if line.startswith(f"{section}.")]
            assert len(rows) > 8
            # Key, value, meaning, two spaces or more apart; the value may be none.
            assert [row for row in rows if len(re.split(r"\s{2,}", row)) < 2] == []


def test_a_page_shows_the_values_of_the_config_with_its_overlays_and_flags(capsys) -> None:
    text = page(["fit", GRPO, "--model.sampling.group_size=12", "--help=model.sampling"], capsys)
    assert re.search(r"model.sampling.group_size +12 +Completions per prompt", text)
    assert re.search(r"model.sampling.max_new_tokens +48 +Longest completion in tokens", text)


def test_every_known_key_is_one_that_the_parser_takes(capsys) -> None:
    known = dict(known_keys("fit", whole(config_files([GRPO]))))
    text = page(["fit", GRPO, "--print_config"], capsys)
    for key in ("model.grpo.clip_low", "model.engine.max_rows", "data.buffer.max_age", "data.source.level"):
        assert key in known
        assert f"{key.rpartition('.')[2]}:" in text


def test_more_keys_than_a_screen_are_folded_from_below() -> None:
    rows = [("a.b", "", "One."), *((f"a.b.{number}", "1", "Inner.") for number in range(30)), ("a.c", "2", "Two.")]
    assert len(table(rows, columns=100, lines=40).splitlines()) == 32
    folded = table(rows, columns=100, lines=10).splitlines()
    assert [line.split()[0] for line in folded] == ["a.b", "a.c"]
    assert "30 keys: --help a.b" in folded[0]
