"""Every number with a unit on README and docs comes from a stored run, a dated entry of the log, or a named source."""

import re
from pathlib import Path

import pytest

from tests.pages.blocks import PAGES
from tests.pages.measured import GENERATED, LOG, READ, SOURCES, numbers, paragraphs, untraced

WITH_NUMBERS = [page for page in READ if any(numbers(paragraph) for paragraph in paragraphs(page.read_text()))]


@pytest.mark.parametrize("page", READ, ids=str)
def test_every_number_of_a_page_leads_to_where_it_comes_from(page: Path) -> None:
    assert untraced(page, page.read_text()) == []


@pytest.mark.parametrize("page", WITH_NUMBERS, ids=str)
def test_a_wrong_digit_in_any_of_them_is_found(page: Path) -> None:
    text = page.read_text()
    for number in {number for paragraph in paragraphs(text) for number in numbers(paragraph)}:
        # Not a number that is right elsewhere on the page.
        others = (number[:-1] + str((int(number[-1]) + by) % 10) for by in (5, 3, 7, 1, 9))
        wrong = next(other for other in others if (page.name, other) not in {source[:2] for source in SOURCES})
        planted = re.sub(rf"(?<![\w.,]){re.escape(number)}(?![\w.])", wrong, text)
        assert wrong in untraced(page, planted), number


def test_numbers_are_found_on_many_pages() -> None:
    assert len(WITH_NUMBERS) >= 8
    assert {page.name for page in PAGES} >= GENERATED


@pytest.mark.parametrize(
    ("page", "number", "source"), SOURCES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_source_says_what_the_page_says(page: str, number: str, source) -> None:
    if callable(source):
        assert source() == number
        return
    file, pattern = source
    assert re.search(pattern, Path(file).read_text())


@pytest.mark.parametrize(("page", "number"), [source[:2] for source in SOURCES], ids=str)
def test_a_source_is_one_of_a_number_that_is_there(page: str, number: str) -> None:
    pages = [each for each in READ if page == each.name]
    assert any(number in numbers(paragraph) for each in pages for paragraph in paragraphs(each.read_text()))


def test_every_entry_of_the_log_with_numbers_names_its_command_or_what_it_is_about() -> None:
    entries = re.split(r"^## ", LOG.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 15
    without = [
        entry.partition("\n")[0]
        for entry in entries
        if not re.search(r"`[^`]*(?:make |python |-table|-loop|-sweep|configs/)", entry)
    ]
    assert without == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.9 times as fast", ["1.9"]),
        ("40 to 50 minutes a seed", ["40", "50"]),
        ("at 3.5 against 9.4 GiB", ["3.5", "9.4"]),
        ("12,032 tokens; seed 3; 9 x 9; `--seconds 5 s`; [2, 3]; version 2.13.0", []),
    ],
)
def test_a_number_is_one_with_a_unit(text: str, found: list[str]) -> None:
    assert numbers(text) == found
