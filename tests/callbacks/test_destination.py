"""A place where nothing can be written is refused when a run begins, with its key."""

from pathlib import Path

import pytest

from algorithms import ConfigError, PairSelection
from callbacks import ExportPolicy, PairWriter, PredictionWriter, PromptPoolWriter
from callbacks.destination import check_destination
from lightning_modules import RolloutModule

# Neither root nor anybody else can make a folder there.
NOWHERE = "/proc/nowhere/out"


class Sampling(RolloutModule):
    """A module with the reward part that the writers ask for."""

    def __init__(self) -> None:
        pass

    reward = type("Reward", (), {"parts": {"accuracy": None}})()

    def save_pretrained(self, folder: str) -> None: ...


@pytest.mark.parametrize(
    ("key", "callback"),
    [
        ("callbacks.export.folder", ExportPolicy(NOWHERE)),
        ("callbacks.pairs.folder", PairWriter(NOWHERE)),
        ("callbacks.pool.folder", PromptPoolWriter(NOWHERE)),
        ("callbacks.predictions.path", PredictionWriter(NOWHERE)),
    ],
)
def test_every_callback_that_writes_at_the_end_looks_at_its_place_at_the_start(key: str, callback) -> None:
    with pytest.raises(ConfigError, match=rf"^{key} is {NOWHERE}, where nothing can be written: "):
        callback.setup(trainer=None, pl_module=Sampling(), stage="predict")


def test_a_writer_that_sees_one_group_at_a_time_refuses_a_share_of_all_pairs() -> None:
    with pytest.raises(ConfigError, match=r"callbacks.pairs.selection.top_share must be null, got 0.3"):
        PairWriter(selection=PairSelection(top_share=0.3))


def test_a_file_where_a_folder_is_written_is_refused_and_the_other_way_round(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=r"^k is .*file, which is a file: give a folder"):
        check_destination("k", file)
    with pytest.raises(ConfigError, match=r"^k is .*, which is a folder: give a file"):
        check_destination("k", tmp_path, is_folder=False)


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    check_destination("k", tmp_path / "new" / "export")
    check_destination("k", None)
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
