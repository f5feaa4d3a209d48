"""Builds the page: one file with its data as JSON; a script draws the visible rows.

Pictures are not copied: the page has their paths relative to its own folder, so page and pictures must be moved
together.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from algorithms import Claim
from evaluation.samples import JudgedSample
from storage import whole_file

_PARTS = Path(__file__).parent / "parts"
SUPPORTED, UNSUPPORTED, PLAIN = 1, 0, -1
"""Kinds of pieces of a completion: a supported claim, an unsupported claim, no claim."""


@dataclass(frozen=True)
class Run:
    """The samples of one run."""

    name: str
    folder: Path
    """Folder in which paths of pictures begin."""

    samples: Sequence[JudgedSample]


def write_page(page: Path, runs: Sequence[Run]) -> None:
    """Write the page of one run, or of two runs side by side, as a whole file or not at all."""
    names = ("page.html", "page.css", "rows.js", "page.js")
    html, css, *scripts = ((_PARTS / name).read_text(encoding="utf-8") for name in names)
    parts = {"@CSS@": css, "@SCRIPT@": "\n".join(scripts), "@DATA@": as_script(page_data(runs, page.absolute().parent))}
    for mark, text in parts.items():
        # The data are inserted last, so that a completion that contains one of the marks is not changed.
        before, _, after = html.partition(mark)
        html = f"{before}{text}{after}"
    with whole_file(page) as draft:
        draft.write_text(html, encoding="utf-8")


def as_script(data: Any) -> str:
    """Return data as JSON that is safe inside of a script element, whatever its texts contain."""
    # "</script>" and "<!--" would end or change the element; JSON escapes stand for the same characters. ASCII, because
    # a tokenizer may return half of a surrogate pair, which UTF-8 cannot encode.
    return (
        json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    )


def page_data(runs: Sequence[Run], folder: Path) -> dict[str, Any]:
    """Return the data for the script of the page: the runs' names, and a row for each sample.

    Args:
        runs: one or two runs.
        folder: the folder of the page.
    """
    numbered = [_numbered(run.samples) for run in runs]
    # A sample that both runs have is one row. Rows of the first run come first, in their order.
    keys = list(dict.fromkeys(key for of_run in numbered for key in of_run))
    return {"runs": [run.name for run in runs], "rows": [_row(key, runs, numbered, folder) for key in keys]}


_Key = tuple[str, str, int]


def _numbered(samples: Sequence[JudgedSample]) -> dict[_Key, JudgedSample]:
    """Return samples by benchmark, question, and number among the completions of that question."""
    seen: Counter[tuple[str, str]] = Counter()
    found: dict[_Key, JudgedSample] = {}
    for sample in samples:
        place = sample.benchmark, sample.uid
        found[(*place, seen[place])] = sample
        seen[place] += 1
    return found


def _row(
    key: _Key, runs: Sequence[Run], numbered: Sequence[Mapping[_Key, JudgedSample]], folder: Path
) -> dict[str, Any]:
    of_runs = [samples.get(key) for samples in numbered]
    # Question, answer and pictures are the same in both runs, so one run's are taken.
    run, first = next((run, sample) for run, sample in zip(runs, of_runs, strict=True) if sample is not None)
    return {
        "benchmark": first.benchmark,
        "uid": first.uid,
        "number": key[2],
        "category": first.category,
        "pictures": [_address(run.folder / picture, folder) for picture in first.pictures],
        "question": first.question,
        "answer": first.answer,
        "runs": [None if sample is None else _completion(sample) for sample in of_runs],
    }


def _completion(sample: JudgedSample) -> dict[str, Any]:
    return {
        "pieces": pieces(sample.completion, sample.claims),
        "claims": [sum(c.is_supported for c in sample.claims), sum(not c.is_supported for c in sample.claims)],
        "correct": sample.correct,
        "reason": sample.reason,
        "tokens": sample.tokens,
        "verdicts": dict(sample.verdicts),
    }


def pieces(text: str, claims: Sequence[Claim]) -> list[tuple[str, int]]:
    """Return a text cut at its claims, each piece with its kind; where claims overlap, an unsupported claim wins.

    The text is cut here and not by the page: positions of claims count characters, but JavaScript counts 16-bit units.
    """
    cuts = sorted({0, len(text), *(claim.start for claim in claims), *(claim.end for claim in claims)})
    found: list[tuple[str, int]] = []
    for start, end in pairwise(cuts):
        kinds = [claim.is_supported for claim in claims if claim.start <= start and end <= claim.end]
        found.append((text[start:end], PLAIN if not kinds else SUPPORTED if all(kinds) else UNSUPPORTED))
    return found


def _address(picture: Path, folder: Path) -> str:
    """Return the address of a picture as the page in a folder names it."""
    return quote(Path(os.path.relpath(picture.absolute(), folder)).as_posix())
