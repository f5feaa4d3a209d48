"""A sweep knows how far each of its runs is, and never takes another run for one of its own."""

from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.run_record.kept_run import Place
from cli.run_record.names import RunName
from cli.sweep.plan import PlannedRun, plan
from run_records import Attempt, RunRecord

GRPO = "configs/tiny/grpo.yaml"
SAVING = ("--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint")
NO_SSB, UNIFORM = (f"configs/ablations/replay/{name}.yaml" for name in ("no_ssb", "uniform_replay"))


def planned(root: Path, *flags: str, variants: tuple[str, ...] = ("", NO_SSB), seeds: tuple[int, ...] = (0, 1)):
    return plan([GRPO], variants, seeds, [f"--trainer.logger.save_dir={root}", "--trainer.max_steps=3", *flags])


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    """A run as ``plan`` makes it."""
    line = ("fit", "--config", GRPO, f"--trainer.logger.save_dir={tmp_path}", "--trainer.max_steps=3", *SAVING)
    return PlannedRun((*line, "--seed_everything", "0"), Place(tmp_path / "tiny", RunName("grpo", 0, {})))


def write(
    run: PlannedRun, folder: str, status: str, *, arguments: tuple[str, ...] = (), checkpoint: bool = True
) -> RunRecord:
    path = run.place.parent / folder
    (path / "checkpoints").mkdir(parents=True)
    if checkpoint:
        (path / "checkpoints" / "step=1.ckpt").touch()
    attempt = Attempt("2026-01-01", arguments or (*run.arguments, "--ckpt_path=last"), status=status, seconds=5.0)
    name = run.place.name
    record = RunRecord(path, "fit", name.title, name.seed, name.flags, (attempt,))
    record.write()
    return record


@pytest.mark.long
def test_every_variant_runs_with_every_seed_and_all_of_one_seed_come_first(tmp_path: Path) -> None:
    runs = planned(tmp_path, variants=("", NO_SSB, f"{NO_SSB}+{UNIFORM}"))
    names = ["grpo-s0", "grpo-no_ssb-s0", "grpo-no_ssb-uniform_replay-s0"]
    assert [run.name for run in runs] == [*names, *(name.replace("s0", "s1") for name in names)]
    assert {run.place.parent for run in runs} == {tmp_path / "tiny"}
    # As the tests below have it by hand.
    assert runs[0].arguments[-5:] == ("--trainer.max_steps=3", *SAVING, "--seed_everything", "0")
    assert list(tmp_path.iterdir()) == []
    line = " ".join(runs[2].arguments)
    assert line.startswith(f"fit --config {GRPO} --config {NO_SSB} --config {UNIFORM} --trainer.logger.save_dir=")
    assert line.endswith("--seed_everything 0")
    assert "--callbacks.checkpoint=callbacks.StepCheckpoint" in line


def test_a_command_that_says_itself_that_it_saves_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "--trainer.enable_checkpointing=false", variants=("",), seeds=(0,))
    assert "StepCheckpoint" not in " ".join(run.arguments)


def test_a_run_that_was_never_started_starts_and_a_finished_one_is_found(run: PlannedRun) -> None:
    assert (run.record(), run.command()) == (None, list(run.arguments))
    write(run, "grpo-s0", "finished")
    found = run.record()
    assert found is not None
    assert found.status == "finished"


@pytest.mark.parametrize("status", ["stopped", "failed", "running"])
def test_a_run_that_did_not_finish_goes_on_from_its_last_checkpoint(run: PlannedRun, status: str) -> None:
    write(run, "grpo-s0", status)
    found = run.record()
    assert found is not None
    # Without a process that holds its lock, a running one was killed.
    assert found.status == ("killed" if status == "running" else status)
    assert run.command() == [*run.arguments, "--ckpt_path=last"]


def test_a_finished_run_counts_also_where_a_later_start_of_the_same_did_not_finish(run: PlannedRun) -> None:
    write(run, "grpo-s0", "finished")
    write(run, "grpo-s0-2", "failed")
    found = run.record()
    assert found is not None
    assert found.status == "finished"


def test_a_run_of_another_length_is_another_run_and_is_not_gone_on_with(run: PlannedRun) -> None:
    longer = tuple(argument.replace("max_steps=3", "max_steps=300") for argument in run.arguments)
    write(run, "grpo-s0", "finished", arguments=longer)
    assert (run.record(), run.command()) == (None, list(run.arguments))
    write(run, "grpo-s0-2", "stopped")
    write(run, "grpo-s0-3", "stopped", arguments=longer)
    # The last checkpoint of this name is the longer run's.
    assert run.command() == list(run.arguments)


def test_the_same_run_started_by_hand_in_another_spelling_is_found(run: PlannedRun) -> None:
    by_hand = ("fit", f"--config={GRPO}", "--trainer.max_steps", "3", "--trainer.logger.save_dir=elsewhere")
    write(run, "grpo-s0", "finished", arguments=by_hand)
    assert run.record() is not None


@pytest.mark.parametrize(
    ("flags", "variants", "found"),
    [
        (["--seed_everything=3"], ("",), "--seed_everything=3 cannot be set for all runs of a sweep: --seeds"),
        (["--ckpt_path=last"], ("",), "--ckpt_path=last cannot be set"),
        (["--trainer.logger.version=a"], ("",), "--trainer.logger.version=a cannot be set"),
        ([], ("configs/none.yaml",), "--overlays configs/none.yaml: there is no such file"),
        ([], ("configs/ablations/objective/sft.yaml",), "sft.yaml lies over MPOModule"),
    ],
)
def test_what_no_run_would_accept_is_refused_before_the_first(
    tmp_path: Path, flags: list[str], variants: tuple[str, ...], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        planned(tmp_path, *flags, variants=variants)


def test_a_wrong_flag_ends_a_sweep_before_its_first_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="group_size must be a whole number, got many"):
        planned(tmp_path, "--model.sampling.group_size=many", variants=("",))
    assert list(tmp_path.iterdir()) == []
