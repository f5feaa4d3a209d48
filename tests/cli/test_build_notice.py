"""Building on first use says what is built, why, how long it takes and where it is kept; a stop says what is lost."""

import fcntl
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as L
import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import OmegaConf

from cli import built
from cli.app import run
from cli.build_notice import notice
from cli.given.places import PROJECT
from cli.stop_signals import Stopped, stop_status
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

ADAPTER = "configs/tiny/stages/adapter.yaml"


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a config has just asked for, from an empty directory."""
    monkeypatch.chdir(tmp_path)
    built.register()
    config = OmegaConf.create({"path": f"${{built_by:{ADAPTER},0}}"})
    return Path(config.path)


def made(command: Sequence[str]) -> None:
    """Stands for a run that writes what it is asked for."""
    Path(command[-1].partition("=")[2]).mkdir(parents=True)


def test_a_build_says_what_it_makes_how_long_it_takes_and_where_it_is_kept(
    wanted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert built.build_missing(made)
    first, second, third, last = capsys.readouterr().err.splitlines()
    assert first.startswith("building adapter (seed 0), which this config starts from: Stage 3 of the tiny policy")
    assert second == f"  takes about 35 s on one core, once; kept in {wanted}"
    assert third == "  first its own parts: vision_tower, language_model"
    assert last.startswith(f"built {wanted} in ")
    assert not built.build_missing(made)
    assert capsys.readouterr().err == ""


def test_a_build_beside_others_of_its_name_says_why_none_of_them_is_taken(tmp_path: Path) -> None:
    for name in ("adapter-0000000000", "adapter-1111111111", "language_model-2222222222"):
        (tmp_path / name).mkdir()
    text = notice(PROJECT / ADAPTER, 3, tmp_path / "adapter-3333333333")
    assert "seed 3" in text
    assert "none of the 2 there has this seed, config, code and versions of libraries" in text


def test_a_config_of_a_user_is_named_and_its_bar_is_asked_for_the_time(tmp_path: Path) -> None:
    config = tmp_path / "adapter.yaml"
    config.write_text("trainer: {max_steps: 1}\n")
    text = notice(config, 0, tmp_path / "adapter-0")
    assert f"starts from: {config}" in text
    assert "as long as its bar says" in text


def test_a_run_that_waits_for_the_build_of_another_process_says_so(
    wanted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted.parent.mkdir(parents=True)
    with wanted.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=built.build_missing, args=(made,))
        waiting.start()
        told, end = "", time.monotonic() + 30.0
        # Bounded: without the sentence the build would wait for ever, and so would this test.
        while "waiting" not in told and time.monotonic() < end:
            time.sleep(0.01)
            told += capsys.readouterr().err
        wanted.mkdir()
    waiting.join()
    told += capsys.readouterr().err
    assert told == f"another process builds {wanted}: waiting for it\n"


def test_the_bar_of_a_build_names_it_and_its_record_lies_apart_from_the_users_runs(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(policy_folder.parent)
    line = arguments("fit", policy_folder, "--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    shown = [flag for flag in line if flag not in ("--callbacks.progress=null", "--trainer.enable_progress_bar=false")]
    run(shown, is_build=True)
    assert "Building grpo" in (text := capsys.readouterr().out)
    assert "Training" not in text
    records = [file.parent for file in Path.cwd().rglob("run.json")]
    assert [record.relative_to(Path.cwd()).parent for record in records] == [Path("runs/built/runs")]


def test_a_build_that_is_stopped_says_that_nothing_of_it_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(Stopped) as stopped, stop_status(trainer, "fit", building="Building adapter"):
        raise SIGTERMException
    assert stopped.value.number == signal.SIGTERM
    told = capsys.readouterr().err
    assert (
        told == "stopped by SIGTERM while building adapter: nothing of it is kept; the same command begins it anew.\n"
    )
