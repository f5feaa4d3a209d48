"""Every claim is one file, and what it names is there."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from cli.given.overlays import check_overlays
from cli.given.settings import config_files, flags
from cli.mistakes.unknown_keys import check_keys
from experiments import claims
from experiments.claims import Arm, Claim, all_claims, offline_filter
from experiments.claims.arms import PLAIN
from experiments.reproduce.figures import TITLES
from experiments.reproduce.readings import filled_in
from experiments.reproduce.scales import MEASURED, SCALES
from experiments.reproduce.stored import of_claims_alone
from tests.experiments.stored_by_hand import ONE, run

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


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_a_percentage_in_a_claims_own_words_is_a_setting_and_what_was_measured_is_filled_in(claim: Claim) -> None:
    words = re.sub(r"\{\{.*?\}\}", "", f"{claim.why} {claim.limits}")
    files = {file for arm in claim.arms for file in (arm.config, *arm.overlays)}
    settings = " ".join([*(flag for arm in claim.arms for flag in arm.flags), *(Path(f).read_text() for f in files)])
    shares = [float(number) / 100 for number in re.findall(r"(\d+(?:\.\d+)?) %", words)]
    assert [share for share in shares if not re.search(rf"[:=] ?{re.escape(f'{share:g}')}\b", settings)] == []


def test_a_number_of_a_claims_text_comes_from_the_stored_runs() -> None:
    runs = {ONE.name: {seed: run(ONE, seed, 0.5 + seed / 10) for seed in range(3)}}
    text = 'from {{ span("one", SAMPLED) }}, on average {{ mean("one", SAMPLED) }}'
    assert filled_in(text, runs) == "from 50.0 to 70.0 %, on average 60.0 ± 24.8 %"
    assert filled_in(text, {ONE.name: {}}) == "from –, on average –"  # noqa: RUF001
    with pytest.raises(UndefinedError, match="SAMPELD"):
        filled_in('{{ mean("one", SAMPELD) }}', runs)
