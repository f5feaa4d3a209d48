"""A run goes on from the newest checkpoint that can be read, and never starts anew in silence."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch

from algorithms import ConfigError
from callbacks import StepCheckpoint
from cli.app import run
from cli.ckpt_path import check_ckpt_path, resolved
from tests.test_training import arguments, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "text": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "a list": lambda path: torch.save([1, 2], path),
    "a pickle with code": lambda path: torch.save({"state_dict": RunsCode()}, path),
    "a bare pickle with code": lambda path: path.write_bytes(pickle.dumps(RunsCode())),
    "a folder without slices": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.fixture
def trainer(tmp_path: Path) -> L.Trainer:
    """A trainer whose folder of checkpoints holds steps 1 to 3, of which 3 is the last."""
    for step in (1, 2, 3):
        save(tmp_path / "saved", step)
    (tmp_path / "saved" / "last.ckpt").symlink_to("step=3.ckpt")
    return L.Trainer(accelerator="cpu", logger=False, callbacks=[StepCheckpoint(dirpath=str(tmp_path / "saved"))])


def save(folder: Path, step: int) -> None:
    folder.mkdir(exist_ok=True)
    torch.save({"state_dict": {"weight": torch.ones(1000)}, "global_step": step}, folder / f"step={step}.ckpt")
    # Far from now, so that what a test damages is newer.
    os.utime(folder / f"step={step}.ckpt", ns=(step * 10**9, step * 10**9))


def test_last_is_the_link_where_it_can_be_read(tmp_path: Path, trainer: L.Trainer) -> None:
    assert resolved("last", trainer) == str(tmp_path / "saved" / "last.ckpt")


@pytest.mark.parametrize("damage", DAMAGES)
def test_last_is_the_newest_readable_checkpoint_where_the_link_cannot_be_read(
    tmp_path: Path, trainer: L.Trainer, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "saved"
    DAMAGES[damage](folder / "step=3.ckpt")
    assert resolved("last", trainer) == str(folder / "step=2.ckpt")
    (warning,) = caplog.messages
    assert str(folder / "last.ckpt") in warning
    assert str(folder / "step=2.ckpt") in warning
    assert "weights_only" not in warning
    assert not Path("ran").exists()


def test_last_is_the_newest_checkpoint_where_there_is_no_link(
    tmp_path: Path, trainer: L.Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "saved" / "last.ckpt").unlink()
    assert resolved("last", trainer) == str(tmp_path / "saved" / "step=3.ckpt")
    assert "last.ckpt does not exist; the run goes on from" in caplog.text


@pytest.mark.parametrize("has_link", [True, False])
def test_last_is_refused_where_no_checkpoint_can_be_read(tmp_path: Path, trainer: L.Trainer, has_link: bool) -> None:
    folder = tmp_path / "saved"
    for path in folder.glob("step=*"):
        truncate(path)
    if not has_link:
        (folder / "last.ckpt").unlink()
    with pytest.raises(ConfigError, match=r"last\.ckpt .*step=1\.ckpt, step=2\.ckpt, step=3\.ckpt"):
        resolved("last", trainer)


def test_last_is_refused_where_there_is_only_a_link_to_nothing(tmp_path: Path, trainer: L.Trainer) -> None:
    for path in (tmp_path / "saved").glob("step=*"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"links to step=3\.ckpt, which does not exist"):
        resolved("last", trainer)


def test_last_is_left_to_lightning_and_told_before_the_first_checkpoint(
    tmp_path: Path, trainer: L.Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (tmp_path / "saved").iterdir():
        path.unlink()
    (tmp_path / "saved" / "step=1.ckpt.draft-0").write_text("killed")
    assert resolved("last", trainer) == "last"
    assert "no run of this name has a checkpoint yet, so this one starts at step 0" in caplog.text


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_given_checkpoint_that_cannot_be_read_is_refused_with_the_newest_one_beside_it(
    tmp_path: Path, trainer: L.Trainer, damage: str
) -> None:
    folder = tmp_path / "saved"
    DAMAGES[damage](folder / "step=3.ckpt")
    with pytest.raises(ConfigError) as refused:
        check_ckpt_path(str(folder / "step=3.ckpt"))
    assert f"ckpt_path {folder / 'step=3.ckpt'}" in str(refused.value)
    assert f"can be read is {folder / 'step=2.ckpt'}" in str(refused.value)
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://host/step=1.ckpt", "https://host/a", "s3://bucket/step=1.ckpt"])
def test_an_address_is_refused(trainer: L.Trainer, address: str) -> None:
    with pytest.raises(ConfigError, match="must be a file or folder on this machine"):
        check_ckpt_path(address)


@pytest.mark.long
def test_a_whole_run_goes_on_after_its_last_checkpoint_was_truncated(policy_folder: Path) -> None:
    straight = weights(run(arguments("fit", policy_folder)))
    folder = policy_folder.parent / "saved"
    saving = (
        "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={folder}", "--callbacks.checkpoint.every_n_train_steps=1", "--ckpt_path=last",
    )  # fmt: skip
    run(arguments("fit", policy_folder, *saving, "--trainer.max_steps=3"))
    truncate(folder / "step=3.ckpt")
    resumed = run(arguments("fit", policy_folder, *saving))
    assert largest_difference(straight, weights(resumed)) == 0.0
