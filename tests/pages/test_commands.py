"""What README and docs tell users to type: files, flags, targets and modules that exist and fit each other."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.app import METHODS
from cli.given.overlays import check_overlays
from cli.given.settings import config_files, flags
from cli.mistakes.unknown_keys import check_keys
from cli.sweep.options import read_options
from cli.sweep.plan import overlay_files
from tests.pages.blocks import PAGES, blocks, commands

LINES = [(page, line) for page in PAGES for line in commands(page)]


def typed() -> list[tuple[Path, list[str]]]:
    """The arguments of every ``train.py`` that names a config."""
    found = [(page, re.search(r"\btrain\.py ([^`]*)", line)) for page, line in LINES]
    lines = [(page, match[1]) for page, match in found if match and "--config" in match[1]]
    # "..." stands for the user's own config; {a,b} and FILE for any; my_... is what train.py new has written, and
    # tests/cli/new_run runs it.
    return [
        (page, shlex.split(line))
        for page, line in lines
        if not re.search(r"\.\.\.|FILE|--config my_|--config=?$", line)
    ]


def check(arguments: list[str]) -> None:
    """Refuse what the command line would refuse before it imports or builds anything."""
    command, *rest = arguments
    if command == "sweep":
        options = read_options(rest)
        for variant in options.variants:
            files = [f"--config={file}" for file in [*options.configs, *overlay_files(variant)]]
            check(["fit", *files, *options.shared])
        return
    assert command in METHODS
    rest = rest[: rest.index("--help")] if "--help" in rest else rest
    files = config_files([command, *rest])
    assert files
    assert [file.source for file in files if file.is_missing] == []
    check_overlays(files)
    check_keys(command, files, flags([command, *rest]))


@pytest.mark.parametrize(("page", "arguments"), typed(), ids=lambda value: str(value)[-70:])
def test_a_command_names_files_and_keys_that_exist_and_fit_each_other(
    page: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_module.py").write_text("\n".join(blocks(Path("docs/bring_your_own.md"), "python")))
    monkeypatch.syspath_prepend(tmp_path)
    check(arguments)


def test_a_command_with_a_key_that_is_not_there_is_found() -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        check(["fit", "--config=configs/tiny/grpo.yaml", "--model.sampling.grop_size=4"])


def test_many_commands_are_found_on_many_pages() -> None:
    assert len(typed()) >= 30
    assert len({page for page, _ in typed()}) >= 8


def test_every_make_target_on_a_page_is_one_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(), re.MULTILINE))
    named = {(page, name) for page, line in LINES for name in re.findall(r"(?:^|; )make ([a-z][a-z-]*)", line)}
    assert len(named) > 15
    assert [(page, name) for page, name in named if name not in targets] == []


def test_every_python_module_on_a_page_is_there() -> None:
    named = {name for _, line in LINES for name in re.findall(r"python -m ([\w.]+)", line)}
    assert "rollouts.vllm.server" in named
    assert [name for name in named if find_spec(name) is None] == []


def engine_table() -> list[list[str]]:
    """The arguments that each row of the table of engines stands for, once for each overlay that it names."""
    table = Path("docs/scaling.md").read_text().split("**Which to take.**")[1].split("\n\n")[1]
    rows = [re.findall(r"`([^`]+)`", row.split("|", 2)[2]) for row in table.splitlines()[2:]]
    found: list[list[str]] = []
    for words in rows:
        overlays = [word for word in words if re.fullmatch("transformers|vllm(_[a-z]+)?", word)]
        flags = " ".join(word for word in words if word.startswith("--")).split()
        # A row for any overlay names none.
        for name in overlays or ["vllm_server"]:
            found.append(["fit", "--config=configs/tiny/grpo.yaml", f"--config=configs/engines/{name}.yaml", *flags])
    return found


def test_the_table_of_engines_names_overlays_and_keys_that_exist() -> None:
    named = engine_table()
    overlays = {Path(arguments[2].split("=")[1]).name for arguments in named}
    assert overlays == {path.name for path in Path("configs/engines").iterdir()}
    for arguments in named:
        check(arguments)
