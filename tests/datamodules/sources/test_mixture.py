"""Mixtures read before training, data sets on disk in the forms of ``datasets``, and files in pieces."""

from collections import Counter
from pathlib import Path

import pytest

from algorithms import BufferConfig, ConfigError, DataError
from datamodules import ExperienceDataModule, PromptDataModule
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.sources.hub_prompts import HubPrompts
from datamodules.sources.mixture import MixedSource, PromptMixture
from datamodules.sources.prompt_folder import PromptFolder
from tests.datamodules.public_layouts.pieces import embedded, json_lines, parquet, seed_of

COLUMNS = ColumnMap(question="problem", images="picture")


def folder_of(path: Path, name: str, number: int) -> PromptFolder:
    json_lines(path / name / "train.jsonl", [{"question": f"{name} {row}"} for row in range(number)])
    return PromptFolder(str(path / name), val=None, test=None)


def rows(first: int, number: int) -> list[dict]:
    return [{"problem": f"p {seed}", "picture": embedded(seed)} for seed in range(first, first + number)]


def questions_and_seeds(source: PromptFolder, split: str = "train") -> list[tuple[str, int]]:
    found = source.read(split, max_image_pixels=10**6)
    assert found.rejections == ()
    return [(prompt.question, seed_of(prompt.images[0].load())) for prompt in found.prompts]


def test_a_mixture_trains_in_shares_and_every_row_in_turn(tmp_path: Path) -> None:
    mixture = PromptMixture(
        {"a": MixedSource(folder_of(tmp_path, "a", 4), 3.0), "b": MixedSource(folder_of(tmp_path, "b", 50), 1.0)}
    )
    json_lines(tmp_path / "v" / "val.jsonl", [{"question": "v"}])
    mixture.sources["v"] = MixedSource(PromptFolder(str(tmp_path / "v"), train=None, test=None))
    data = ExperienceDataModule(mixture, prompts_per_rollout=64, micro_batches=1, buffer=BufferConfig())
    data.setup("fit")
    drawn = [prompt.question for rollout in range(16) for prompt in data._prompts_of("prompt order", rollout)]
    counts = Counter(drawn)
    assert sum(count for question, count in counts.items() if question[0] == "a") == 768
    assert {counts[f"a {row}"] for row in range(4)} == {192}
    assert {counts[f"b {row}"] for row in range(50)} == {5, 6}
    assert [prompt.question for prompt in data.prompts["val"]] == ["v"]
    assert {prompt.columns["source"] for prompt in data.prompts["train"]} == {"a", "b"}


def test_files_named_by_a_pattern_are_one_data_set_and_none_may_be_missing(tmp_path: Path) -> None:
    for shard in range(3):
        parquet(tmp_path / "data" / f"train-{shard:05d}-of-00003.parquet", rows(10 * shard, 2))
    source = PromptFolder(str(tmp_path), train="data/train-*.parquet", columns=COLUMNS)
    assert questions_and_seeds(source) == [(f"p {seed}", seed) for seed in (0, 1, 10, 11, 20, 21)]
    assert [prompt.uid for prompt in source.read("train", max_image_pixels=10**6).prompts] == list(range(6))
    (tmp_path / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(DataError, match=r"2 of 3 files train-\*\.parquet and lacks train-00001-of-00003"):
        source.split_files("train")


def test_one_damaged_file_of_many_is_named(tmp_path: Path) -> None:
    for shard in range(20):
        parquet(tmp_path / f"train-{shard:05d}-of-00020.parquet", rows(shard, 1))
    bad = tmp_path / "train-00013-of-00020.parquet"
    bad.write_bytes(bad.read_bytes()[:-8] + b"damaged!")
    with pytest.raises(DataError, match=r"train-00013-of-00020\.parquet cannot be read"):
        PromptFolder(str(tmp_path), train="*.parquet", columns=COLUMNS).read("train", max_image_pixels=10**6)


def test_a_folder_that_datasets_has_saved_is_read_with_its_pictures(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict, Features, Image, Value

    features = Features({"problem": Value("string"), "picture": Image()})
    splits = {
        "train": Dataset.from_list(rows(0, 5), features=features),
        "val": Dataset.from_list(rows(9, 1), features=features),
    }
    # A filtered data set keeps only its own rows on disk.
    splits["train"] = splits["train"].select([4, 2, 0])
    DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    source = PromptFolder(str(tmp_path / "saved"), columns=COLUMNS)
    assert questions_and_seeds(source) == [("p 4", 4), ("p 2", 2), ("p 0", 0)]
    assert questions_and_seeds(source, "val") == [("p 9", 9)]
    next((tmp_path / "saved" / "train").glob("*.arrow")).unlink()
    with pytest.raises(DataError, match=r"state\.json names"):
        source.split_files("train")


def test_a_data_set_by_name_is_read_whole_from_the_files_of_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for split in ("train", "validation"):
        parquet(tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet", rows(3, 3))
    source = HubPrompts(str(tmp_path / "hub"), test=None, columns=COLUMNS)
    source.prepare()
    assert (
        questions_and_seeds(source) == questions_and_seeds(source, "val") == [(f"p {seed}", seed) for seed in (3, 4, 5)]
    )


@pytest.mark.parametrize("settings", [{"config": "none"}, {"train": "nowhere"}])
def test_a_data_set_that_cannot_be_loaded_is_named(tmp_path: Path, settings: dict[str, str]) -> None:
    parquet(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", rows(3, 3))
    with pytest.raises(ConfigError, match=r"data\.source\.name=.*cannot be loaded"):
        HubPrompts(str(tmp_path / "hub"), columns=COLUMNS, streamed=True, **settings).streamed_parts(max_image_pixels=1)


def test_a_slice_of_a_split_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\[:10%\]"):
        HubPrompts("owner/name", train="train[:10%]")


def test_streams_are_for_the_experience_of_grpo(tmp_path: Path) -> None:
    folder_of(tmp_path, "a", 2)
    data = PromptDataModule(PromptFolder(str(tmp_path / "a"), streamed=True))
    with pytest.raises(ConfigError, match="streamed must be false with PromptDataModule"):
        data.setup("fit")


def test_a_split_that_is_null_is_named_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.source\.val is null"):
        folder_of(tmp_path, "a", 2).split_files("val")


def streamed_data(path: Path) -> ExperienceDataModule:
    folder_of(path, "a", 30)
    json_lines(path / "a" / "val.jsonl", [{"question": "v"}])
    source = PromptFolder(str(path / "a"), streamed=True)
    return ExperienceDataModule(source, prompts_per_rollout=4, micro_batches=2, buffer=BufferConfig())


def test_streamed_experience_resumed_between_and_within_rollouts_sees_the_same_prompts(tmp_path: Path) -> None:
    unbroken = streamed_data(tmp_path)
    unbroken.setup("fit")
    tickets = iter(unbroken.train_dataloader())
    for number in range(6):
        next(tickets)
        resumed = streamed_data(tmp_path)
        resumed.setup("fit")
        resumed.load_state_dict(unbroken.state_dict())
        loader = resumed.train_dataloader()
        loader.load_state_dict({"next_batch": number + 1})
        again = iter(loader)
        after = [next(again).prompts for _ in range(5)]
        reference = streamed_data(tmp_path)
        reference.setup("fit")
        whole = iter(reference.train_dataloader())
        expected = [next(whole).prompts for _ in range(number + 6)][number + 1 :]
        assert [[p.uid for p in prompts] for prompts in after] == [[p.uid for p in prompts] for prompts in expected]


def test_a_streamed_prompt_in_use_is_found_by_its_uid(tmp_path: Path) -> None:
    data = streamed_data(tmp_path)
    data.setup("fit")
    prompt = next(iter(data.train_dataloader())).prompts[0]
    assert data.prompt("train", prompt.uid) is prompt
    with pytest.raises(DataError, match="its row is not there"):
        data.prompt("train", 29 + 1)
