"""The numbers and the paths of docs/architecture.md are those of the code."""

import ast
import re
from pathlib import Path

from tests.test_repository import FILES

PAGE = Path("docs/architecture.md").read_text()
# What a reader is to write, so that it is not there yet.
TO_WRITE = re.compile(r"NAME|my_file")
# Constructors of the training code: experiments and evaluation are programs of their own.
OUTSIDE = ("experiments", "evaluation", "run_records", "storage")


def now(row: str) -> str:
    """The last cell of a row of the table of numbers."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row}")]
    return line.split("|")[-2].strip()


def constructors() -> list[int]:
    """Numbers of parameters of all constructors, the largest first."""
    found = [
        len(method.args.args) - 1 + len(method.args.kwonlyargs)
        for path in FILES
        if path.parts[0] not in OUTSIDE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    ]
    return sorted(found, reverse=True)


def test_the_page_has_the_parameters_of_the_largest_constructors() -> None:
    assert now("parameters of the five largest constructors") == ", ".join(map(str, constructors()[:5]))


def test_the_page_has_the_number_of_policies_of_any_type() -> None:
    untyped = sum(len(re.findall(r"\bpolicy: Any\b", path.read_text())) for path in FILES)
    assert now("parameters that are a policy of type `Any`") == str(untyped)


def test_every_path_on_the_page_is_there() -> None:
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-zA-Z_.]+)?)`", PAGE)
    assert len(named) > 40
    assert [path for path in named if not TO_WRITE.search(path) and not Path(path).exists()] == []
