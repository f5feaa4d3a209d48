"""Checkpoints are whole, beside each other and never more than ``keep``, whatever a killed run left behind."""

from pathlib import Path

import pytest

from cli.app import run
from storage import remove
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]


def saved(policy_folder: Path, steps: int, *flags: str) -> Path:
    """Run up to a step with a checkpoint of each; return their folder."""
    folder = policy_folder.parent / "saved"
    run(
        arguments(
            "fit", policy_folder, f"--trainer.max_steps={steps}", "--trainer.enable_checkpointing=true",
            "--trainer.limit_val_batches=0", "--callbacks.checkpoint=callbacks.StepCheckpoint",
            "--callbacks.checkpoint.every_n_train_steps=1", f"--callbacks.checkpoint.dirpath={folder}", *flags,
        )
    )  # fmt: skip
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "run.lock")


def test_only_the_newest_checkpoints_stay_and_the_link_is_relative(policy_folder: Path) -> None:
    folder = saved(policy_folder, 4)
    assert names(folder) == ["last.ckpt", "step=3.ckpt", "step=4.ckpt"]
    assert (folder / "last.ckpt").readlink() == Path("step=4.ckpt")


def test_the_last_step_is_kept_also_where_none_is_due(policy_folder: Path) -> None:
    folder = saved(policy_folder, 4, "--callbacks.checkpoint.every_n_train_steps=3")
    assert names(folder) == ["last.ckpt", "step=3.ckpt", "step=4.ckpt"]
    assert (folder / "last.ckpt").readlink() == Path("step=4.ckpt")


def test_checkpoints_need_no_room_in_the_folder_of_temporary_files(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    # fsspec writes there first, and would fail. Folders for a few settings may be made.
    for name in ("mkstemp", "NamedTemporaryFile", "TemporaryFile"):
        monkeypatch.setattr(f"tempfile.{name}", full)
    assert "step=1.ckpt" in names(saved(policy_folder, 1))


def test_what_killed_runs_left_is_removed_at_the_next_save(policy_folder: Path) -> None:
    folder = saved(policy_folder, 2)
    (folder / "step=3.ckpt.draft-0123456789ab").write_text("killed while it was written")
    (folder / "last.ckpt.draft-0123456789ab").symlink_to("step=2.ckpt")
    for step in (3, 5):
        (folder / f"step={step}.ckpt").write_text("written, but not linked")
    (folder / "notes.txt").write_text("not a checkpoint")
    saved(policy_folder, 4, "--ckpt_path=last")
    assert names(folder) == ["last.ckpt", "notes.txt", "step=3.ckpt", "step=4.ckpt"]


@pytest.mark.long
def test_a_run_killed_while_it_removed_after_its_last_step_is_tidied_by_one_with_nothing_to_do(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(
            "callbacks.step_checkpoint.remove", lambda path: None if path.name == "step=2.ckpt" else remove(path)
        )
        folder = saved(policy_folder, 4)
    assert names(folder) == ["last.ckpt", "step=2.ckpt", "step=3.ckpt", "step=4.ckpt"]
    saved(policy_folder, 4, "--ckpt_path=last")
    assert names(folder) == ["last.ckpt", "step=3.ckpt", "step=4.ckpt"]


@pytest.mark.long
def test_a_new_run_keeps_the_checkpoints_of_an_earlier_one_in_its_folder(policy_folder: Path) -> None:
    folder = saved(policy_folder, 2, "--callbacks.checkpoint.keep=1")
    earlier = (folder / "step=2.ckpt").read_bytes()
    saved(policy_folder, 2, "--callbacks.checkpoint.keep=1")
    assert names(folder) == ["last.ckpt", "step=2-v1.ckpt", "step=2.ckpt"]
    assert (folder / "step=2.ckpt").read_bytes() == earlier
    assert (folder / "last.ckpt").readlink() == Path("step=2-v1.ckpt")
