"""Config files and flags are read as the parser reads them."""

import os
import subprocess
import sys
from pathlib import Path

from cli.given.settings import config_files, flags, is_set, laid_over, value_at


def test_config_files_come_in_the_order_of_the_command_line_however_they_are_given(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(f"# {name}\nx: {name}\n")
    arguments = ["fit", "--config", f"{tmp_path}/a", "--y=1", f"--config={tmp_path}/b", "-c", f"{tmp_path}/c"]
    files = config_files(arguments)
    assert [file.content for file in files] == [{"x": "a"}, {"x": "b"}, {"x": "c"}]
    assert [file.first_line for file in files] == ["# a", "# b", "# c"]
    assert [file.position for file in files] == [2, 4, 6]


def test_a_file_that_is_not_there_and_one_that_is_no_yaml_set_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("a: [\n")
    missing, broken = config_files([f"--config={tmp_path}/missing", f"--config={tmp_path}/broken"])
    assert (missing.is_missing, missing.content) == (True, {})
    assert (broken.is_broken, broken.content) == (True, {})


def test_a_flag_sets_its_key_to_the_value_beside_it_or_after_it() -> None:
    found = flags(
        ["fit", "--config=x.yaml", "--a.b=1", "--a.c", "[1, 2]", "--d+=e", "--model", "x.Y", "--print_config"]
    )
    assert [flag.content for flag in found] == [
        {"a": {"b": 1}},
        {"a": {"c": [1, 2]}},
        {"d": "e"},
        {"model": {"class_path": "x.Y"}},
        {"print_config": None},
    ]


def test_levels_named_init_args_are_left_out_of_keys() -> None:
    content = {"model": {"class_path": "A", "init_args": {"reward": {"init_args": {"parts": {"p": None}}}}}}
    assert value_at(content, "model.reward.parts") == {"p": None}
    assert value_at(content, "model.class_path") == "A"
    assert is_set(content, "model.reward.parts.p")
    assert not is_set(content, "model.reward.parts.q")
    assert not is_set(content, "model.reward.parts.p.weight")


def test_another_class_takes_no_settings_over_and_a_short_name_is_the_same_class() -> None:
    below = {"class_path": "models.A", "init_args": {"x": 1}}
    assert laid_over(below, {"class_path": "models.B"}) == {"class_path": "models.B"}
    assert laid_over(below, {"class_path": "A"}) == {"class_path": "A", "init_args": {"x": 1}}
    assert laid_over(below, {"class_path": "other.A"}) == {"class_path": "other.A"}


def test_a_config_with_letters_of_any_language_is_read_in_a_locale_that_knows_none(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("data: {path: Größe/数}  # für alle\n", encoding="utf-8")
    program = "from cli.given.settings import read_config; print(ascii(read_config('own.yaml').content))"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(Path.cwd())}
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | ascii_only, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert shown.stdout.strip() == ascii({"data": {"path": "Größe/数"}}), shown.stderr
