"""The site of the documentation, as far as it can be checked without building it; ``make docs`` checks the rest."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml
from PIL import Image

from tests.pages.blocks import PAGES, blocks, directives
from tests.test_repository import FOLDERS

# The pages that lie elsewhere in the repository, as docs/site/repository_pages.py shows them.
ELSEWHERE = {"contributing.md", "changelog.md", "configs.md"}
API = {path: page for page in sorted(Path("docs/api").glob("*.md")) for path in directives(page)}
# The packages whose classes a config can name.
NAMED = (
    rf"(?<![\w.])((?:{'|'.join(folder for folder in FOLDERS if folder not in ('cli', 'experiments'))})\.[\w.]*[A-Z]\w+)"
)


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without importing what its tags name."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def menu(entries: Any) -> list[str]:
    """The pages of a menu and of those inside of it."""
    if isinstance(entries, str):
        return [entries]
    inside = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in inside for page in menu(entry)]


def test_every_page_is_in_the_menu_once() -> None:
    settings = yaml.load(Path("mkdocs.yml").read_text(), Loader)
    pages = {str(page.relative_to("docs")) for page in Path("docs").rglob("*.md")}
    assert sorted(menu(settings["nav"])) == sorted(pages | ELSEWHERE)


def test_what_the_pages_of_the_api_show_can_be_imported() -> None:
    assert len(API) > 150
    for path in API:
        resolve_name(path)


def test_every_class_that_a_config_or_a_page_names_is_on_a_page_of_the_api() -> None:
    texts = [path.read_text() for path in (*Path("configs").rglob("*.yaml"), *PAGES)]
    named = {name for text in texts for name in re.findall(NAMED, text)}
    assert len(named) > 50
    # NAME stands for any.
    assert sorted(named - API.keys() - {"callbacks.NAME"}) == []


def test_what_the_python_of_a_page_imports_is_on_a_page_of_the_api() -> None:
    text = "\n".join(block for page in PAGES for block in blocks(page, "python"))
    lines = re.findall(r"^from (\w+) import (.+)$", text, re.MULTILINE)
    imported = {f"{module}.{name}" for module, names in lines if module in FOLDERS for name in names.split(", ")}
    assert len(imported) > 10
    assert sorted(imported - API.keys()) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    folders = (*FOLDERS, "configs", "docs", "tests")
    named = set(re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]*(?:\.\w+|/))`", page.read_text()))
    # NAME stands for any; the log of experiments names files as they were called on its dates.
    gone = [name for name in named if "NAME" not in name and not Path(name).exists()]
    assert page.name == "experiments.md" or gone == []


def test_every_page_that_a_docstring_names_is_there() -> None:
    files = [path for folder in FOLDERS for path in Path(folder).rglob("*.py")]
    named = {(str(path), page) for path in files for page in re.findall(r"\bdocs/[\w-]+\.md\b", path.read_text())}
    assert len(named) > 5
    assert [(path, page) for path, page in named if not Path(page).exists()] == []


def equations() -> Any:
    """The hook that draws equations; it needs matplotlib only."""
    spec = importlib.util.spec_from_file_location("equations", "docs/site/equations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_equation_is_drawn_in_the_colour_of_the_text_and_named_by_its_latex() -> None:
    drawn = equations().on_page_content(r'<p>as <span class="arithmatex">\(\frac{a}{b} &lt; 1\)</span></p>')
    assert drawn.startswith('<p>as <svg class="equation" role="img" aria-label="\\frac{a}{b} &lt; 1"')
    assert 'fill="currentColor"' in drawn
    # Letters and the fraction's bar are curves, so that no font is needed.
    assert drawn.count("Z") >= 5


def test_an_equation_that_cannot_be_drawn_stops_the_site() -> None:
    with pytest.raises(ValueError, match="nosuchcommand"):
        equations().svg(r"\nosuchcommand{a}")


def test_the_citation_names_the_paper_and_the_present_version() -> None:
    citation = yaml.safe_load(Path("CITATION.cff").read_text())
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0"
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["message"]
    assert citation["authors"]
    assert "arXiv:2504.16656" in json.dumps(citation["references"])


def test_the_social_preview_has_the_size_that_is_asked_for() -> None:
    picture = Path("docs/figures/social_preview.png")
    assert Image.open(picture).size == (1280, 640)
    assert picture.stat().st_size < 200_000
