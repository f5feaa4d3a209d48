"""The notebooks as they lie in the repository: what a reader on the web sees, and whether it is all there."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_repository import FOLDERS

SOURCES = sorted(Path("notebooks").glob("[0-9][0-9]_*.py"))
# What a reader is meant to write: rewards, a judge, and a short way to read the runs that one notebook is about.
OWN_FUNCTIONS = {
    "04_vanishing_advantages": ["curves"],
    "05_own_reward_and_judge": ["looks", "small", "claims"],
    "07_hallucination_and_the_loop": ["curves"],
}


def cells(source: Path) -> list[dict[str, Any]]:
    return json.loads(source.with_suffix(".ipynb").read_text())["cells"]


def outputs(source: Path) -> list[dict[str, Any]]:
    return [output for cell in cells(source) for output in cell.get("outputs", [])]


def test_there_are_seven_notebooks_each_with_its_source_and_a_line_in_the_readme() -> None:
    assert len(SOURCES) == 7
    assert sorted(Path("notebooks").glob("*.ipynb")) == [source.with_suffix(".ipynb") for source in SOURCES]
    lines = re.findall(r"^\| \[(\w+)\]\(\1\.ipynb\) \| .+ \| \d+ s \|$", Path("notebooks/README.md").read_text(), re.M)
    assert lines == [source.stem for source in SOURCES]


def test_notebooks_and_their_data_stay_below_5_megabytes() -> None:
    assert sum(file.stat().st_size for file in Path("notebooks").rglob("*") if file.is_file()) < 5_000_000


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_reader_sees_results_and_pictures_and_no_warning_or_path_of_the_machine(source: Path) -> None:
    shown = outputs(source)
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert [o for o in shown if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    text = json.dumps([output.get("text") or output.get("data", {}).get("text/plain") for output in shown])
    assert re.findall(r"(?<![\w.])/(?:root|home|tmp|work|usr)/[^\s\"]*|ipykernel|━", text) == []
    # Every cell has been run, once and in order.
    counts = [cell["execution_count"] for cell in cells(source) if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_takes_its_functions_from_the_project(source: Path) -> None:
    tree = ast.parse(source.read_text())
    own = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert own == OWN_FUNCTIONS.get(source.stem, [])
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert len({module.split(".")[0] for module in imported} & set(FOLDERS)) >= 2


@pytest.mark.parametrize("page", [*SOURCES, Path("notebooks/README.md")], ids=lambda page: page.stem)
def test_links_of_a_notebook_lead_to_what_is_there(page: Path) -> None:
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    assert targets
    assert [t for t in targets if not t.startswith("https://") and not (page.parent / t).exists()] == []
