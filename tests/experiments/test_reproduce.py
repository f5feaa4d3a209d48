"""``make reproduce``: its runs are distinct, kept when they finish, and not run twice."""

from dataclasses import replace
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from cli.run_record.starting_policy import weights_digest
from experiments.claims import Arm, all_claims
from experiments.reproduce import runs
from experiments.reproduce.__main__ import main
from experiments.reproduce.browser import write_browser
from experiments.reproduce.runs import planned_runs, run_all
from experiments.reproduce.scales import SCALES, Scale
from experiments.reproduce.stored import read
from tests.experiments.stored_by_hand import claim
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

GRPO = "configs/tiny/grpo.yaml"


class Broken(Callback):
    """What stops a run after the parser has accepted it."""

    def on_train_start(self, trainer: object, pl_module: object) -> None:
        raise RuntimeError("broken on purpose")


def in_folder(folder: Path, flags: tuple[str, ...] = ()) -> Scale:
    results, page, figures, browser = (folder / name for name in ("results", "results.md", "figures", "browser"))
    return Scale("reproduce", (0,), results, page, figures, browser, flags=flags)


def test_claims_share_runs_and_each_seed_comes_whole_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []

    def plan(configs, variants, seeds, shared):
        asked.append((shared[0], tuple(seeds)))
        return [f"{shared[0]}/{seed}" for seed in seeds]

    monkeypatch.setattr(runs, "plan", plan)
    one, two, three, trial = (Arm(name, "a.yaml", flags=(f"--{name}",)) for name in ("one", "two", "three", "trial"))
    first = replace(claim(), arms=(one, two))
    second = replace(claim(), arms=(two, three), trials=(trial,))
    planned = planned_runs([first, second], SCALES["full"])
    assert [run.name for run in planned] == [
        "one-s0", "two-s0", "one-s1", "two-s1", "one-s2", "two-s2", "trial-s0", "three-s0", "three-s1", "three-s2",
    ]  # fmt: skip
    assert asked == [("--one", (0, 1, 2)), ("--two", (0, 1, 2)), ("--trial", (0,)), ("--three", (0, 1, 2))]
    assert [run.planned for run in planned if run.seed == 1] == ["--one/1", "--two/1", "--three/1"]


def test_the_commands_of_a_claim_are_shown_without_running_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--claims", "chain", "--dry_run"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("python train.py sweep --config configs/tiny/grpo.yaml") == 2
    assert "hybrid.yaml+configs/ablations/reward/no_preference_reward.yaml+configs/tiny/overlays/measured.yaml" in shown


def test_the_browser_is_one_page_with_tables_and_a_folder_of_event_files(tmp_path: Path) -> None:
    scale = replace(in_folder(tmp_path), results=SCALES["full"].results)
    page = write_browser([all_claims()["ssb"]], scale).read_text()
    assert "<code>grpo_ssb</code>" in page
    assert 'src="http' not in page
    # What is not there is said.
    assert "No completions are shown" in page
    logged = {path.parent.name for path in (tmp_path / "browser" / "tensorboard").glob("*/events*")}
    assert {"grpo_ssb-s0", "grpo_plain-s0"} <= logged


@pytest.mark.long
def test_a_run_is_stored_when_it_finishes_and_not_run_twice_and_one_that_fails_is_named(
    policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_the_scale = ("--trainer.max_steps", "--trainer.val_check_interval")
    given = [flag for flag in arguments("fit", policy_folder)[2:] if not flag.startswith(of_the_scale)]
    scale = in_folder(policy_folder.parent, tuple(given))
    broken = ("--callbacks.broken=tests.experiments.test_reproduce.Broken",)
    arms = (Arm("good", GRPO, steps=2, validations=1), Arm("bad", GRPO, flags=broken, steps=2, validations=1))
    asked = replace(claim(), arms=arms[:1])
    assert run_all(planned_runs([asked], scale), scale, at_once=1) == []
    assert [path.name for path in scale.results.iterdir()] == ["good-s0.json"]
    assert read(scale.results / "good-s0.json").start == weights_digest(policy_folder)
    before = [path.stat().st_mtime_ns for path in policy_folder.parent.rglob("run.json")]
    assert run_all(planned_runs([asked], scale), scale, at_once=1) == []
    assert [path.stat().st_mtime_ns for path in policy_folder.parent.rglob("run.json")] == before
    assert run_all(planned_runs([replace(claim(), arms=arms)], scale), scale, at_once=1) == ["bad-s0"]
    assert "bad-s0 has failed" in capsys.readouterr().out
