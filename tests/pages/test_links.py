"""Links lead somewhere, every page is in the index, and the first screen of the README shows the project."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.pages.blocks import PAGES, directives


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    # Those of the API are import paths, and on the site only.
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | {*directives(page)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_and_pictures_of_a_page_lead_to_what_is_there(page: Path) -> None:
    text = page.read_text()
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    broken: list[str] = []
    for target in targets:
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in headings(file)):
            broken.append(target)
    assert broken == []


def test_the_index_has_one_line_for_every_page() -> None:
    rows = re.findall(r"^\| \[[^\]]+\]\(([\w./-]+)\) \| .+ \|$", Path("docs/index.md").read_text(), re.MULTILINE)
    pages = [page.name for page in Path("docs").glob("*.md") if page.name != "index.md"]
    assert sorted(rows) == sorted([*pages, "api/index.md", "../configs/README.md", "../notebooks/README.md"])


def test_every_notebook_is_linked_from_a_page_about_its_idea() -> None:
    pages = [page.read_text() for page in Path("docs").glob("*.md") if page.name != "index.md"]
    for notebook in Path("notebooks").glob("*.ipynb"):
        assert any(f"](../notebooks/{notebook.name})" in page for page in pages), notebook


def test_the_first_screen_has_two_commands_a_table_and_two_pictures() -> None:
    screen = Path("README.md").read_text().partition("\n## ")[0]
    (first, *_) = re.findall(r"```bash\n(.*?)```", screen, re.DOTALL)
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make quickstart", "make test"]
    assert len(re.findall(r"^\| .* points \|$", screen, re.MULTILINE)) == 4
    pictures = [Path(path) for path in re.findall(r'<img src="([^"]+)"', screen)]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.stat().st_size < 100_000
        assert min(Image.open(picture).size) > 300


def test_the_readme_has_a_block_of_commands_for_each_thing_to_do_and_no_wall_of_them() -> None:
    sections = Path("README.md").read_text().split("\n## ")
    with_commands = [section.splitlines()[0] for section in sections[1:] if "```bash" in section]
    assert with_commands == ["Run", "Ablate", "Bring your own", "Evaluate", "Scale"]
    assert all(section.count("```bash") <= 1 for section in sections)
