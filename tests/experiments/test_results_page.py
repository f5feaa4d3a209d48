"""Every number of docs/results.md and of README's table is what the stored runs say."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.claims import all_claims
from experiments.reproduce import publish
from experiments.reproduce.figures import draw_claim
from experiments.reproduce.page import results_page
from experiments.reproduce.readme import BEGIN, README, with_numbers
from experiments.reproduce.scales import SCALES
from experiments.reproduce.stored import read, stored_runs
from tests.conftest import long

FULL = SCALES["full"]
CLAIMS = all_claims()
STORED = sorted(FULL.results.glob("*.json"))


def stale(on_disk: Mapping[Path, str], results: Path = FULL.results) -> list[Path]:
    """The pages that do not say what the stored runs say."""
    expected = publish.texts(replace(FULL, results=results))
    # The folder's name stands on the page.
    return [path for path, text in expected.items() if text.replace(str(results), str(FULL.results)) != on_disk[path]]


def pages() -> dict[Path, str]:
    return {path: path.read_text() for path in (FULL.page, README)}


def with_wrong_digit(text: str, near: str) -> str:
    """The text with one digit changed, in the first number with a decimal point behind a word."""
    start = text.index(near)
    found = re.compile(r"\d\.\d").search(text, start)
    assert found
    place = found.end() - 1
    return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]


def test_the_pages_say_what_the_stored_runs_say() -> None:
    assert stale(pages()) == [], "run `make results`"


@pytest.mark.parametrize(("page", "near"), [(FULL.page, "`grpo_ssb`"), (FULL.page, "## Findings"), (README, BEGIN)])
def test_a_wrong_digit_on_a_page_is_found(page: Path, near: str) -> None:
    assert stale(pages() | {page: with_wrong_digit(page.read_text(), near)}) == [page]


def test_a_wrong_digit_in_a_stored_run_is_found(tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(FULL.results, results)
    file = results / "grpo_ssb-s0.json"
    text = file.read_text()
    # The last point of a curve, in its first decimal.
    changed = re.sub(
        r'("val/sampled_accuracy": \[.*\[\d+, 0\.)(\d)',
        lambda found: found[1] + str((int(found[2]) + 1) % 10),
        text,
    )
    assert changed != text
    file.write_text(changed)
    assert stale(pages(), results) == [FULL.page, README]


def test_every_stored_run_is_one_of_a_claim_as_it_is_today() -> None:
    arms = {arm.name: arm for claim in all_claims().values() for arm in (*claim.arms, *claim.trials)}
    runs = {path.stem: read(path) for path in STORED}
    assert STORED
    assert [name for name, run in runs.items() if arms.get(run.arm.name) != run.arm or run.name != name] == []


def test_stored_runs_are_small() -> None:
    assert max(path.stat().st_size for path in STORED) < 8_000


def test_a_run_of_an_arm_that_was_changed_since_is_not_counted(tmp_path: Path) -> None:
    content = json.loads((FULL.results / "grpo_ssb-s0.json").read_text())
    content["arm"]["steps"] += 1
    (tmp_path / "grpo_ssb-s0.json").write_text(json.dumps(content))
    page = results_page([all_claims()["ssb"]], replace(FULL, results=tmp_path))
    assert "| `grpo_ssb` | 0: not run yet |" in page
    assert "No run is stored yet." in page


def test_one_seed_gives_no_interval_and_no_verdict(tmp_path: Path) -> None:
    for name in ("grpo_ssb", "grpo_plain", "grpo_uniform_replay"):
        shutil.copy(FULL.results / f"{name}-s0.json", tmp_path)
    page = results_page([all_claims()["ssb"]], replace(FULL, results=tmp_path))
    assert "**not judged** | none, 1 seed: no interval |" in page
    assert "points (1 seed: no interval)" in page
    assert not re.search(r"\d ± \d", page)


def test_runs_with_three_and_with_five_seeds_stand_side_by_side(tmp_path: Path) -> None:
    for name in ("base", "grpo_ssb", "grpo_plain", "grpo_uniform_replay"):
        for seed in range(3):
            shutil.copy(FULL.results / f"{name}-s{seed}.json", tmp_path)
    for seed in (3, 4):
        content = json.loads((FULL.results / "grpo_ssb-s0.json").read_text()) | {"seed": seed}
        (tmp_path / f"grpo_ssb-s{seed}.json").write_text(json.dumps(content))
    page = results_page([all_claims()["ssb"]], replace(FULL, results=tmp_path))
    assert "| `grpo_ssb` | 5 |" in page
    assert "| `grpo_plain` | 3 |" in page
    assert "confidence low, 3 seeds." in page
    # Differences are of the seeds that both have.
    assert re.search(r"the policy ends better \| [^|]+ \| (\S+, ){2}\S+ \|", page)


def test_completions_that_a_run_does_not_count_are_not_given_as_none(tmp_path: Path) -> None:
    name = "mpo_online_biased_tau_chosen"
    shutil.copy(FULL.results / f"{name}-s0.json", tmp_path)
    page = results_page([all_claims()["ssb"], all_claims()["threshold_loop"]], replace(FULL, results=tmp_path))
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` | 1 |") and "160" in line)
    assert "| 0 + not counted |" in row


def test_the_readme_must_have_a_place_for_the_table() -> None:
    with pytest.raises(ValueError, match="numbers from experiments/results"):
        with_numbers("a README without the marks", {})


def pixels_that_differ(one: Path, other: Path) -> float:
    """The share of pixels that are clearly another colour."""
    a, b = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (one, other))
    return 1.0 if a.shape != b.shape else float((abs(a - b).max(axis=-1) > 40).mean())


@pytest.mark.parametrize(
    "name", ["ssb", *(long(name) for name, claim in CLAIMS.items() if claim.curves and name != "ssb")]
)
def test_a_figure_shows_the_stored_runs(name: str, tmp_path: Path) -> None:
    claim = CLAIMS[name]
    runs = stored_runs(FULL.results, claim.arms)
    assert draw_claim(claim, runs, tmp_path) is not None, "no run of this claim is stored"
    committed = FULL.figures / f"{name}.png"
    assert pixels_that_differ(committed, tmp_path / f"{name}.png") < 0.002, "run `make results`"
    assert committed.with_suffix(".svg").is_file()
    # One point of one run moved is seen.
    arm = claim.arms[-1].name
    seed, found = next(iter(runs[arm].items()))
    metric = claim.curves[0]
    moved = [*found.curves[metric][:-1], [found.curves[metric][-1][0], 0.0, found.curves[metric][-1][2]]]
    changed = {**runs, arm: {**runs[arm], seed: replace(found, curves={**found.curves, metric: moved})}}
    draw_claim(claim, changed, tmp_path)
    assert pixels_that_differ(committed, tmp_path / f"{name}.png") > 0.002


def test_a_figure_of_runs_that_are_no_longer_those_of_a_claim_is_removed(tmp_path: Path) -> None:
    for ending in ("png", "svg"):
        (tmp_path / f"ssb.{ending}").touch()
    assert draw_claim(CLAIMS["ssb"], {arm.name: {} for arm in CLAIMS["ssb"].arms}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
