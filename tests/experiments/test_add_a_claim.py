"""The page "Add a claim": one file is all that it takes, from the command to the verdict on the page."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import claims
from experiments.claims import Claim, all_claims
from experiments.claims.arms import SSB
from experiments.reproduce import __main__ as reproduce
from experiments.reproduce.browser import write_browser
from experiments.reproduce.figures import draw_claim
from experiments.reproduce.missing import left_to_run
from experiments.reproduce.page import results_page
from experiments.reproduce.scales import SCALES
from experiments.reproduce.stored import StoredRun, read, store, stored_runs
from tests.experiments.stored_by_hand import run, written
from tests.experiments.test_claims import test_an_arm_names_files_and_flags_that_exist_and_fit_each_other as fits
from tests.experiments.test_starts import asked
from tests.experiments.test_stored_runs import record
from tests.pages.blocks import block_with

__all__ = ["record"]

METRIC = "val/pass_at_4"


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Claim:
    """The claim of the page, in a file that lies where claims are looked for."""
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "larger_groups.py").write_text(block_with("add_a_claim.md", "CLAIM =", "python"))
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(folder)])
    monkeypatch.delitem(__import__("sys").modules, "experiments.claims.larger_groups", raising=False)
    return all_claims()["groups"]


def measured(arm: claims.Arm, seed: int, value: float, *, passes: bool = True) -> StoredRun:
    found = run(arm, seed, value - 0.1, value)
    own = {METRIC: [[0, value, 0], [1, value + 0.1, 100]]} if passes else {}
    return replace(found, curves={**found.curves, **own})


def test_the_new_claim_is_one_of_all_and_its_arms_fit(added: Claim) -> None:
    assert all_claims()["groups"] == added
    assert all(arm.says for arm in added.arms)
    for arm in added.arms:
        fits(arm)


def test_its_runs_are_asked_for_by_its_name(added: Claim, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["--claims", "groups", "--dry_run"]) == 0
    assert "--model.sampling.group_size=16" in capsys.readouterr().out


def test_the_page_and_the_browser_judge_it_from_stored_runs(added: Claim, tmp_path: Path) -> None:
    scale = replace(
        SCALES["full"], results=tmp_path / "results", page=tmp_path / "results.md", figures=tmp_path / "figures",
        browser=tmp_path / "browser",
    )  # fmt: skip
    for arm, value in zip(added.arms, (0.5, 0.7), strict=True):
        for seed in range(3):
            written(measured(arm, seed, value + seed / 100), scale.results)
    draw_claim(added, stored_runs(scale.results, added.arms), scale.figures)
    page = results_page(list(all_claims().values()), scale)
    assert "| [Larger groups](#larger-groups) | Nothing: the size" in page
    assert "| larger groups answer better | +20.0 points [20.0, 20.0] |" in page
    assert re.search(r"\*\*Holds\*\*, confidence medium, 3 seeds\.", page)
    assert "| run | seeds | sampled accuracy | right at least once in four | hallucination rate |" in page
    assert "Groups of 16 end at 71.0 ± 2.5 %." in page
    assert "![curves of Larger groups](figures/groups.png)" in page
    assert "Groups of 16 end at 71.0 ± 2.5 %." in write_browser([added], scale).read_text()


def test_a_metric_that_only_it_measures_is_stored_of_every_run(added: Claim, record, tmp_path: Path) -> None:
    found = read(store(record, added.arms[1], tmp_path))
    # The run that was stored does not log it: an empty curve says that it was asked for.
    assert list(found.curves[METRIC]) == []
    assert found.value(added.measures[1]) is None


def test_a_shared_run_that_was_stored_before_without_its_metric_is_run_again(added: Claim, tmp_path: Path) -> None:
    scale = replace(SCALES["full"], results=tmp_path / "results", seeds=(0, 1))
    for seed in scale.seeds:
        written(measured(SSB, seed, 0.5, passes=seed == 0), scale.results)
        written(measured(added.arms[1], seed, 0.5), scale.results)
    runs = [asked(arm, seed) for seed in scale.seeds for arm in added.arms]
    left, told = left_to_run(runs, [added], scale, today=lambda run: None)
    assert [each.name for each in left] == ["grpo_ssb-s1"]
    assert told[0] == "grpo_ssb-s1 is run again: its file was stored without val/pass_at_4."
