"""Sizes and places: what a reader of the repository can rely on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = (
    "algorithms", "storage", "hallucination", "models", "rollouts", "rewards", "datamodules", "lightning_modules",
    "callbacks", "run_records", "cli", "evaluation", "experiments",
)  # fmt: skip
FILES = [path for folder in FOLDERS for path in sorted(Path(folder).rglob("*.py"))]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_fits_on_a_few_screens_and_a_function_on_one(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, f"{path} is too long: split it by the nouns in it"
    long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno >= 60]
    assert long == [], f"{path}: split {long}"


def test_a_folder_holds_about_a_dozen_files() -> None:
    counts = {folder: len(list(folder.glob("*.py"))) - 1 for folder in {path.parent for path in FILES}}
    assert {str(folder): count for folder, count in counts.items() if count > 15} == {}


def test_every_folder_is_in_the_readme_and_under_an_import_contract() -> None:
    readme, settings = Path("README.md").read_text(), Path("pyproject.toml").read_text()
    assert [folder for folder in FOLDERS if f"{folder}/" not in readme] == []
    assert [folder for folder in FOLDERS if f'"{folder}"' not in settings] == []


def test_no_room_has_a_name_that_holds_anything() -> None:
    names = {part for path in FILES for part in path.with_suffix("").parts}
    assert names & {"utils", "util", "helpers", "helper", "common", "core", "misc"} == set()
