"""Folders of slices are read without running code."""

import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from storage import UnreadableCheckpoint, load_slices, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def slices(folder: Path, **values: object) -> Path:
    state = {"weight": torch.arange(6.0), "half": torch.ones(2, dtype=torch.bfloat16), **values}
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    torch.save({"global_step": 3}, folder / "meta.pt")
    return folder


def load(folder: Path, **values: object) -> dict:
    state = {"weight": torch.zeros(6), **values}
    load_slices(state, folder)
    return state


def test_a_complete_folder_is_read(tmp_path: Path) -> None:
    folder = slices(tmp_path / "step=3.ckpt", rates={"lr": 0.1, "betas": (0.9, 0.99)})
    assert read_checkpoint(folder) == {"global_step": 3}
    state = load(folder, rates={"lr": 0.0, "betas": (0.0, 0.0)})
    assert torch.equal(state["weight"], torch.arange(6.0))
    assert state["rates"] == {"lr": 0.1, "betas": (0.9, 0.99)}


@pytest.mark.parametrize("name", [".metadata", "meta.pt", "__0_0.distcp"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:20])])
def test_an_incomplete_folder_is_unreadable(tmp_path: Path, name: str, damage) -> None:
    folder = slices(tmp_path / "step=3.ckpt")
    damage(folder / name)
    with pytest.raises(UnreadableCheckpoint):
        read_checkpoint(folder)


def test_code_in_the_index_does_not_run(tmp_path: Path) -> None:
    folder = slices(tmp_path / "step=3.ckpt")
    (folder / ".metadata").write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(UnreadableCheckpoint, match=r"it refers to posix\.mkdir"):
        read_checkpoint(folder)
    with pytest.raises(CheckpointException, match=r"it refers to posix\.mkdir"):
        load(folder)
    assert not Path("ran").exists()


def test_code_beside_the_slices_does_not_run(tmp_path: Path) -> None:
    folder = slices(tmp_path / "step=3.ckpt", value=RunsCode())
    with pytest.raises(CheckpointException, match="value is neither a tensor nor a plain value"):
        load(folder, value=0)
    assert not Path("ran").exists()
