"""Every claim is one file, and what it names is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from cli.given.overlays import check_overlays
from cli.given.settings import config_files, flags
from cli.mistakes.unknown_keys import check_keys
from experiments import claims
from experiments.claims import Arm, Claim, all_claims, offline_filter
from experiments.claims.arms import PLAIN
from experiments.reproduce.figures import TITLES
from experiments.reproduce.scales import MEASURED, SCALES
from experiments.reproduce.stored import of_claims_alone

CLAIMS = all_claims()
ARMS = {arm.name: arm for claim in CLAIMS.values() for arm in (*claim.arms, *claim.trials)}


def test_every_file_of_a_claim_is_found_and_ranks_are_one_each() -> None:
    files = {path.stem for path in Path("experiments/claims").glob("*.py")}
    assert len(CLAIMS) == len(files - {"__init__", "records", "measures", "arms"})
    assert len({claim.rank for claim in CLAIMS.values()}) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_what_a_claim_measures_and_draws_is_stored_of_every_run_and_its_panels_have_titles(claim: Claim) -> None:
    assert of_claims_alone([claim]) == []
    assert [metric for metric in claim.curves if metric not in TITLES] == []


@pytest.mark.parametrize("arm", ARMS.values(), ids=list(ARMS))
def test_an_arm_says_in_words_what_it_is(arm: Arm) -> None:
    assert 10 < len(arm.says) < 100


@pytest.mark.parametrize("arm", ARMS.values(), ids=list(ARMS))
def test_an_arm_names_files_and_flags_that_exist_and_fit_each_other(arm: Arm) -> None:
    scale = SCALES["fast"]
    files = [f"--config={file}" for file in (arm.config, *arm.overlays, MEASURED)]
    line = ["fit", *files, *scale.run_flags(arm)]
    found = config_files(line)
    assert [file.source for file in found if file.is_missing] == []
    check_overlays(found)
    check_keys("fit", found, flags(line))


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_every_run_validates_at_its_end(scale) -> None:
    for arm in ARMS.values():
        interval = max(1, scale.steps(arm) // arm.validations)
        assert scale.steps(arm) % interval == 0
        assert f"--trainer.val_check_interval={interval}" in scale.run_flags(arm)


def test_one_name_for_two_different_arms_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(offline_filter.CLAIM, arms=(replace(PLAIN, steps=7), *offline_filter.CLAIM.arms[1:]))
    monkeypatch.setattr(offline_filter, "CLAIM", other)
    with pytest.raises(ValueError, match="grpo_plain"):
        claims.all_claims()


def test_an_expectation_of_an_arm_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_filter, "CLAIM", replace(offline_filter.CLAIM, arms=(PLAIN,)))
    with pytest.raises(ValueError, match="grpo_offline_filter"):
        claims.all_claims()
