"""The page of samples: what its script gets to read, and that no text of a sample can break it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from algorithms import Claim
from evaluation import JudgedSample, write_samples
from evaluation.samples_page.__main__ import main
from evaluation.samples_page.page import PLAIN, SUPPORTED, UNSUPPORTED, pieces

EVIL = 'It says </script><script>alert("x")</script> <!-- <b> & @CSS@ @DATA@ \u2028 \ud800'


def sample(uid: str, completion: str = "yes", **settings: Any) -> JudgedSample:
    given = {"benchmark": "pope", "question": f"Question {uid}?", "pictures": ("pictures/a b.png",), "correct": True}
    return JudgedSample(uid=uid, completion=completion, **given | settings)


class Page(HTMLParser):
    """The elements of a page as a browser finds them, and the text of its scripts."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.is_script = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.is_script = tag == "script"
        self.scripts += [""] if self.is_script else []

    def handle_endtag(self, tag: str) -> None:
        self.is_script = False

    def handle_data(self, data: str) -> None:
        if self.is_script:
            self.scripts[-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


def written(tmp_path: Path, *runs: list[JudgedSample]) -> Page:
    """The page of runs in the folders a, b, made by the command."""
    for name, samples in zip("ab", runs, strict=False):
        write_samples(tmp_path / name / "samples.jsonl", samples)
    files = [str(tmp_path / name / "samples.jsonl") for name, _ in zip("ab", runs, strict=False)]
    main([*files, "--out", str(tmp_path / "pages" / "page.html")])
    return Page(tmp_path / "pages" / "page.html")


def said(row: dict[str, Any], run: int = 0) -> str:
    return "".join(text for text, _ in row["runs"][run]["pieces"])


def test_no_text_of_a_sample_ends_the_script_or_becomes_an_element(tmp_path: Path) -> None:
    evil = sample("1", EVIL, question=EVIL, answer=EVIL, reason=EVIL, category=EVIL, benchmark=EVIL)
    page, plain = written(tmp_path / "evil", [evil]), written(tmp_path / "plain", [sample("1")])
    assert page.tags == plain.tags
    assert page.scripts[1:] == plain.scripts[1:]
    (row,) = page.data["rows"]
    assert {said(row), row["question"], row["answer"], row["category"], row["benchmark"]} == {EVIL}


def test_texts_become_text_nodes_only() -> None:
    script = Path("evaluation/samples_page/parts/page.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script)


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = (written(tmp_path, [sample("1")]), (tmp_path / "pages" / "page.html").read_text())[1]
    assert not re.search(r"https?://|@import|<link|src=", text)


def test_claims_are_cut_out_by_characters_and_not_by_the_halves_that_javascript_counts() -> None:
    text = "A 🐕 and a cup."
    claims = [Claim("dog", 2, 3, True), Claim("cup", text.index("cup"), text.index("cup") + 3, False)]
    assert pieces(text, claims) == [
        ("A ", PLAIN), ("🐕", SUPPORTED), (" and a ", PLAIN), ("cup", UNSUPPORTED), (".", PLAIN),
    ]  # fmt: skip


def test_where_claims_overlap_the_unsupported_one_shows() -> None:
    assert pieces("abcd", [Claim("all", 0, 4, True), Claim("b", 1, 2, False)]) == [
        ("a", SUPPORTED), ("b", UNSUPPORTED), ("cd", SUPPORTED),
    ]  # fmt: skip
    assert pieces("", [Claim("nothing", 0, 0, False)]) == []
    assert pieces("ab", []) == [("ab", PLAIN)]


def test_two_runs_meet_in_the_rows_of_their_questions(tmp_path: Path) -> None:
    # Two completions of question 1 in the first run, one in the second; questions 2 and 3 in one run each.
    first = [sample("1", "a0"), sample("2", "a1"), sample("1", "a2", correct=None)]
    second = [sample("3", "b0"), sample("1", "b1", correct=False)]
    data = written(tmp_path, first, second).data
    assert data["runs"] == ["a", "b"]
    shown = [
        (row["uid"], row["number"], [None if of is None else of["correct"] for of in row["runs"]])
        for row in data["rows"]
    ]
    assert shown == [("1", 0, [True, False]), ("2", 0, [True, None]), ("1", 1, [None, None]), ("3", 0, [None, True])]
    assert (said(data["rows"][0], 0), said(data["rows"][0], 1)) == ("a0", "b1")
    assert data["rows"][1]["runs"][1] is None


def test_questions_of_two_benchmarks_with_one_name_stay_two(tmp_path: Path) -> None:
    data = written(tmp_path, [sample("1"), sample("1", benchmark="amber")]).data
    assert [(row["benchmark"], row["number"]) for row in data["rows"]] == [("pope", 0), ("amber", 0)]


def test_pictures_are_named_from_the_folder_of_the_page(tmp_path: Path) -> None:
    (row,) = written(tmp_path, [sample("1")]).data["rows"]
    assert row["pictures"] == ["../a/pictures/a%20b.png"]


def test_verdicts_claims_and_reasons_are_in_the_page(tmp_path: Path) -> None:
    judged = sample(
        "1", "a dog", correct=False, reason="no_box", tokens=3, claims=(Claim("dog", 2, 5, False),),
        verdicts={"evalscope": True, "project": False},
    )  # fmt: skip
    (row,) = written(tmp_path, [judged]).data["rows"]
    assert row["runs"][0] == {
        "pieces": [["a ", PLAIN], ["dog", UNSUPPORTED]], "claims": [0, 1], "correct": False, "reason": "no_box",
        "tokens": 3, "verdicts": {"evalscope": True, "project": False},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "error: there is no file nowhere.jsonl"),
        (["a", "b", "c"], "error: the page shows one run or two side by side, got 3 files."),
        (["a", "b", "--names", "x"], "error: --names must name each of the 2 files, got 1 names."),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--out", str(tmp_path / "page.html")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "page.html").exists()
