"""What pages tell users to type behind the project's own programs and make targets: flags that these know."""

import argparse
import re
import shlex
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.pages.blocks import PAGES, commands

# Target and module by the variable with which a target passes flags on.
_PASSED_ON = re.compile(
    r"^([a-z-]+):[^\n]*\n(?:\t[^\n]*\n)*?\t\$\(BIN\)/python -m ([\w.]+)[^\n]*\$\((\w+_FLAGS)\)", re.MULTILINE
)
OF_TARGETS = {(target, flags): module for target, module, flags in _PASSED_ON.findall(Path("Makefile").read_text())}


def typed() -> list[tuple[str, tuple[str, ...]]]:
    """Each module with the flags that some page has behind it; those of ``evaluation`` have another kind of parser."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    for line in (line for page in PAGES for line in commands(page)):
        for module, rest in re.findall(r"python -m ((?:experiments|rollouts)[\w.]+)([^;|]*)", line):
            found.add((module, tuple(shlex.split(rest))))
        for target, variable, flags in re.findall(r"make ([a-z-]+)[^;]*?(\w+_FLAGS)=\"([^\"]*)\"", line):
            found.add((OF_TARGETS[target, variable], tuple(shlex.split(flags))))
    return sorted((module, flags) for module, flags in found if any(flag.startswith("--") for flag in flags))


class Parsed(Exception):
    """A program has come as far as its flags; with those that it does not know."""


@pytest.mark.parametrize(("module", "flags"), typed(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_program_knows_the_flags_that_a_page_names(module: str, flags: Sequence[str], monkeypatch) -> None:
    parse = argparse.ArgumentParser.parse_known_args

    # Also behind ``parse_args``; the program itself never runs.
    def parse_and_stop(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
        raise Parsed(parse(self, *args, **kwargs)[1])

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_and_stop)
    spec = find_spec(module)
    assert spec is not None
    program = import_module(f"{module}.__main__" if spec.submodule_search_locations else module)
    with pytest.raises(Parsed) as stopped:
        program.main(list(flags))
    assert stopped.value.args == ([],)


def test_programs_with_flags_are_found_on_pages() -> None:
    assert len({module for module, _ in typed()}) >= 5
    assert ("bench-weights", "BENCH_FLAGS") in OF_TARGETS
