"""Runs are compared seed by seed where they started from the same policy, and what is not known is said."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cli.run_record.kept_run import Place
from cli.run_record.names import RunName
from cli.run_record.starting_policy import weights_digest
from cli.sweep.plan import PlannedRun
from experiments.claims import all_claims
from experiments.claims.arms import PLAIN, SSB
from experiments.reproduce import __main__ as command
from experiments.reproduce import missing
from experiments.reproduce.missing import left_to_run, start_today
from experiments.reproduce.page import results_page
from experiments.reproduce.runs import ArmRun
from experiments.reproduce.scales import SCALES, Scale
from experiments.reproduce.starts import told_of_all, told_of_claim
from experiments.reproduce.stored import StoredRun
from experiments.reproduce.verdicts import verdict
from tests.experiments.stored_by_hand import ONE, TWO, claim, run, written

Starts = tuple[str | None, ...]


def started(one: Starts, two: Starts) -> Mapping[str, Mapping[int, StoredRun]]:
    """Two arms whose seeds started from these policies; the second is better by ten points."""
    return {
        arm.name: {seed: run(arm, seed, value + seed / 100, start=start) for seed, start in enumerate(starts)}
        for arm, value, starts in ((ONE, 0.5, one), (TWO, 0.6, two))
    }


def asked(arm=SSB, seed: int = 0, *flags: str) -> ArmRun:
    planned = PlannedRun(("fit", "--config", arm.config, *flags), Place(Path("runs"), RunName("grpo", seed, {})))
    return ArmRun(arm, seed, planned)


def scale_in(folder: Path) -> Scale:
    return replace(SCALES["full"], results=folder)


def test_seeds_whose_runs_started_from_different_policies_are_not_compared_and_named() -> None:
    runs = started(("aa", "bb", "cc", "dd"), ("aa", "bb", "cc", "xx"))
    (judged,) = verdict(claim("higher"), runs).judged
    assert list(judged.by_seed) == [0, 1, 2]
    assert told_of_claim(claim("higher"), runs) == (
        "**Not compared**, because they started from different policies: seed 3 of `two` (from xx) and `one` (from "
        "dd). "
        "All runs of a seed started from the same policy, by the digest of its weights: seeds 0, 1, 2."
    )


def test_a_claim_whose_runs_all_started_elsewhere_is_not_judged() -> None:
    assert verdict(claim("higher"), started(("a", "b", "c"), ("x", "y", "z"))).word == "not judged"


def test_unknown_is_not_wrong_but_said() -> None:
    runs = started((None, "bb", "cc"), ("aa", None, "cc"))
    found = verdict(claim("higher"), runs)
    assert (found.word, found.seeds) == ("holds", 3)
    told = told_of_claim(claim("higher"), runs)
    assert told.startswith("Whether all runs of a seed started from the same policy is not recorded: seeds 0, 1.")
    assert told.endswith("by the digest of its weights: seed 2.")


def test_the_page_says_of_how_many_runs_the_start_is_known() -> None:
    known, unknown = run(ONE, 0, 0.5, start="aa"), run(ONE, 1, 0.5)
    assert told_of_all([known, known]).startswith("Each stored run says")
    assert told_of_all([known, unknown]).startswith("1 of 2 do not say")
    assert told_of_all([unknown]).startswith("None of the stored runs says")


def test_on_the_page_a_run_from_elsewhere_is_named_in_its_section(tmp_path: Path) -> None:
    for arm, starts in ((SSB, ("aa", "aa")), (PLAIN, ("aa", "bb"))):
        for seed, start in enumerate(starts):
            written(run(arm, seed, 0.5, start=start), tmp_path)
    page = results_page([all_claims()["ssb"]], scale_in(tmp_path))
    assert "seed 1 of `grpo_ssb` (from aa) and `grpo_plain` (from bb)" in page
    assert "Each stored run says which policy it started from" in page


def test_what_is_stored_from_todays_policy_is_left_out(tmp_path: Path) -> None:
    written(run(SSB, 0, 0.5, start="aa"), tmp_path)
    runs = [asked(SSB, 0), asked(PLAIN, 0), asked(SSB, 1)]
    left, told = left_to_run(runs, [], scale_in(tmp_path), today=lambda run: "aa")
    assert ([run.name for run in left], told) == (["grpo_plain-s0", "grpo_ssb-s1"], [])


def test_a_stored_run_from_another_policy_than_todays_is_run_again_with_a_sentence(tmp_path: Path) -> None:
    for seed in (0, 1):
        written(run(SSB, seed, 0.5, start="aa"), tmp_path)
    runs = [asked(SSB, 0), asked(PLAIN, 0), asked(SSB, 1), asked(PLAIN, 1)]
    left, told = left_to_run(runs, [], scale_in(tmp_path), today=lambda run: "bb" if run.seed == 1 else "aa")
    assert [run.name for run in left] == ["grpo_plain-s0", "grpo_ssb-s1", "grpo_plain-s1"]
    assert told == [
        "grpo_ssb-s1 is run again: it started from policy aa, and today's runs of seed 1 start from bb, so the two "
        "could not be compared."
    ]


def test_a_stored_run_without_a_start_is_kept_and_named(tmp_path: Path) -> None:
    written(run(SSB, 0, 0.5), tmp_path)
    never = pytest.fail
    left, (told,) = left_to_run(
        [asked(SSB, 0), asked(PLAIN, 0)], [], scale_in(tmp_path), today=lambda run: never("asked")
    )
    assert [run.name for run in left] == ["grpo_plain-s0"]
    assert told.startswith("grpo_ssb-s0: not run again, although their files do not say which policy they started from")


def test_nothing_is_built_or_told_where_everything_is_stored(tmp_path: Path) -> None:
    written(run(SSB, 0, 0.5, start="aa"), tmp_path)
    assert left_to_run([asked(SSB, 0)], [], scale_in(tmp_path), today=lambda run: pytest.fail("asked")) == ([], [])


def test_todays_start_is_read_from_the_folder_that_the_config_names_for_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[tuple[str, int]] = []

    def folder(value: str, seed: int) -> Path:
        asked_for.append((value, seed))
        return tmp_path / f"adapter-{seed}"

    (tmp_path / "adapter-3").mkdir()
    (tmp_path / "adapter-3" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(missing, "referred_folder", folder)
    assert start_today(asked(SSB, 3)) == weights_digest(tmp_path / "adapter-3")
    assert asked_for == [("${built_by:configs/tiny/stages/adapter.yaml,${seed_everything}}", 3)]


def test_todays_start_is_built_in_a_process_of_one_thread_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(command, *, check, cwd, env) -> None:
        assert command[-3:] == ["fit", "--config", SSB.config]
        assert env["OMP_NUM_THREADS"] == "1"
        (tmp_path / "built").mkdir()
        (tmp_path / "built" / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(missing, "referred_folder", lambda value, seed: tmp_path / "built")
    monkeypatch.setattr(missing.subprocess, "run", build)
    assert start_today(asked(SSB)) == weights_digest(tmp_path / "built")


def test_todays_start_of_a_policy_that_the_user_names_is_that_folders(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert start_today(asked(SSB, 0, f"--model.policy.path={tmp_path}")) == weights_digest(tmp_path)


def test_the_command_says_which_stored_runs_it_runs_again_and_runs_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(run(SSB, 0, 0.5, start="aa"), tmp_path)
    ran: list[str] = []
    monkeypatch.setattr(command, "SCALES", {"full": scale_in(tmp_path)})
    monkeypatch.setattr(command, "planned_runs", lambda claims, scale: [asked(SSB, 0), asked(PLAIN, 0)])
    monkeypatch.setattr(command, "start_today", lambda run: "bb")
    monkeypatch.setattr(command, "run_all", lambda runs, scale, *, at_once: ran.extend(run.name for run in runs))
    monkeypatch.setattr(command, "publish", lambda scale: [])
    command.main(["--claims", "ssb", "--only_missing"])
    assert "grpo_ssb-s0 is run again: it started from policy aa" in capsys.readouterr().out
    assert ran == ["grpo_ssb-s0", "grpo_plain-s0"]
