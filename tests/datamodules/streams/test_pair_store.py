"""What becomes of pairs between the file and the trainer."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms import ConfigError, DataError, PairSelection, PreferencePair, Prompt
from datamodules.rows.images import EmbeddedImage, ImageFile
from datamodules.rows.pair_rows import PairRows
from datamodules.sources.pair_source import PairSource
from datamodules.streams.pair_store import PairSettings, PairStore, split_by_prompt


def pairs(number: int) -> tuple[PreferencePair, ...]:
    prompts = [Prompt(uid=i, key=str(i), question=f"question {i} ?") for i in range(number)]
    return tuple(PreferencePair(uid=p.uid, prompt=p, chosen="a " * p.uid, rejected="b") for p in prompts)


class TrainingOnly(PairSource):
    """A source without validation file, as the MMPR layout is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        return PairRows(pairs(40), (), 40) if split == "train" else None


class RefusesLong:
    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        return ("too many tokens", "") if max_tokens and len(pair.chosen) > max_tokens else None


def store(folder: Path, **settings) -> PairStore:
    defaults = {
        "selection": PairSelection(), "pairs_per_batch": 4, "held_out": 0.25, "seed": 0, "max_pair_tokens": None,
    }  # fmt: skip
    return PairStore(TrainingOnly(folder), PairSettings(**{**defaults, **settings}), max_image_pixels=100)


def test_a_source_without_validation_file_is_split_by_prompt_when_there_is_a_longest_length(tmp_path: Path) -> None:
    data = store(tmp_path, max_pair_tokens=60)
    data.read(RefusesLong(), tmp_path / "pairs.json", is_first_rank=True)
    read = [pair.prompt.uid for split in data.pairs.values() for pair in split]
    assert sorted(read) == list(range(31))
    assert data.pairs["val"]
    assert "too many tokens" in (tmp_path / "pairs.json").read_text()


def test_a_prompt_stays_on_its_side_whatever_else_is_in_the_file() -> None:
    whole, part = split_by_prompt(pairs(40), 0.3), split_by_prompt(pairs(40)[::2], 0.3)
    assert {p.prompt.uid for p in part["val"]} == {p.prompt.uid for p in whole["val"] if p.prompt.uid % 2 == 0}


@given(number=st.integers(2, 12), held_out=st.floats(0.001, 0.999), salt=st.integers(0, 1000))
def test_few_pairs_are_left_without_neither_training_nor_validation(number: int, held_out: float, salt: int) -> None:
    given_pairs = pairs(number + salt)[salt:]
    split = split_by_prompt(given_pairs, held_out)
    assert split["train"]
    assert split["val"]
    assert sorted(pair.uid for side in split.values() for pair in side) == [pair.uid for pair in given_pairs]


def test_nothing_is_held_out_of_one_prompt_or_when_nothing_should_be() -> None:
    assert not split_by_prompt(pairs(1) * 3, 0.999)["val"]
    assert not split_by_prompt(pairs(40), 0.0)["val"]


def test_the_folder_in_which_the_data_lie_does_not_choose_the_side() -> None:
    def sides(folder: str) -> list[int]:
        images = (ImageFile(Path(folder) / "1.png"), EmbeddedImage(Path(folder) / "rows.parquet", 3, "image"))
        there = [replace(pair, prompt=replace(pair.prompt, images=images)) for pair in pairs(40)]
        return [pair.uid for pair in split_by_prompt(there, 0.3)["val"]]

    assert sides("a") == sides("b/c")


def test_a_longest_length_needs_a_module_that_can_count(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.max_pair_tokens must be null with SimpleNamespace, got 60"):
        store(tmp_path, max_pair_tokens=60).read(SimpleNamespace(), tmp_path / "pairs.json", is_first_rank=True)


def test_a_selection_that_keeps_nothing_says_which_kinds_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"keeps none of \d+ pairs, which are of kind given"):
        store(tmp_path, selection=PairSelection(kinds=("format",))).read(
            None, tmp_path / "pairs.json", is_first_rank=True
        )


def test_held_out_pairs_reach_the_threshold_of_the_training_pairs_top_share(tmp_path: Path) -> None:
    scored = [replace(pair, chosen_score=float(pair.uid), rejected_score=0.0) for pair in pairs(40)]

    class Scored(TrainingOnly):
        def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
            return PairRows(tuple(scored), (), 40) if split == "train" else None

    settings = PairSettings(
        selection=PairSelection(top_share=0.2), pairs_per_batch=4, held_out=0.25, seed=0, max_pair_tokens=None
    )
    data = PairStore(Scored(tmp_path), settings, max_image_pixels=100)
    data.read(None, tmp_path / "pairs.json", is_first_rank=True)
    split = split_by_prompt(scored, 0.25)
    kept = {name: [pair.margin or 0.0 for pair in side] for name, side in data.pairs.items()}
    assert len(kept["train"]) == round(0.2 * len(split["train"]))
    lowest = min(kept["train"])
    assert kept["val"] == [pair.margin for pair in split["val"] if (pair.margin or 0.0) >= lowest]
    assert data.kept_fraction == len(kept["train"]) / len(split["train"])


def test_only_the_first_rank_writes_the_counts(tmp_path: Path) -> None:
    store(tmp_path).read(None, tmp_path / "pairs.json", is_first_rank=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pairs_per_batch": 0}, "data.pairs_per_batch must be at least 1, got 0"),
        ({"held_out": 1.0}, r"data.held_out must lie in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        store(tmp_path, **settings)
