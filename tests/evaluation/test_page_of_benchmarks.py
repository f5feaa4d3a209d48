"""docs/evaluation.md has the benchmarks of the code, with what they need and the paper's figures."""

from pathlib import Path

import pytest

from evaluation.benchmarks import BENCHMARKS, NOT_REPORTED

ROWS = {
    line.split("`")[1]: line for line in Path("docs/evaluation.md").read_text().splitlines() if line.startswith("| `")
}


@pytest.mark.parametrize("name", [name for name, benchmark in BENCHMARKS.items() if benchmark.in_paper])
def test_a_benchmark_is_on_the_page_as_it_is_in_the_code(name: str) -> None:
    known = BENCHMARKS[name]
    paper = f"{known.paper:.1f}" if known.paper is not None else NOT_REPORTED
    for told in (known.data_set, f"`{known.folder}`", known.licence, f"| {paper} |", known.shows):
        assert told in ROWS[name]
