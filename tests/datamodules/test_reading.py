"""The settings of reading, which every data module takes in the same way."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from algorithms import ConfigError
from datamodules import (
    DemonstrationDataModule,
    ExperienceDataModule,
    OnlinePreferenceDataModule,
    PairDataModule,
    PreferenceDataModule,
    PreferenceFolder,
    PromptDataModule,
    PromptFolder,
    ReadingConfig,
)

PROMPTS, PAIRS = PromptFolder("prompts"), PreferenceFolder("pairs")


def all_modules(reading: ReadingConfig) -> list[Any]:
    return [
        PromptDataModule(PROMPTS, reading=reading),
        DemonstrationDataModule(PROMPTS, reading=reading),
        ExperienceDataModule(PROMPTS, reading=reading),
        OnlinePreferenceDataModule(PROMPTS, reading=reading),
        PreferenceDataModule(PROMPTS, PAIRS, reading=reading),
        PairDataModule(PAIRS, reading=reading),
    ]


@pytest.mark.parametrize("name", ["batch_size", "max_prompt_tokens", "max_image_pixels"])
def test_a_setting_below_one_stops_at_once(name: str) -> None:
    too_low: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=rf"data\.reading\.{name} must be at least 1, got 0: .*\."):
        ReadingConfig(**too_low)
    lowest: dict[str, Any] = {name: 1}
    ReadingConfig(**lowest)


def test_an_unknown_split_stops_at_once() -> None:
    with pytest.raises(ConfigError, match=r"data\.reading\.predict_split must be one of train, val, test, got 'dev'"):
        ReadingConfig(predict_split="dev")  # pyright: ignore[reportArgumentType]


def test_every_data_module_writes_its_reports_to_the_same_folder(tmp_path: Path) -> None:
    for data in all_modules(ReadingConfig(report_folder=str(tmp_path))):
        data.trainer = SimpleNamespace(log_dir="the run")
        assert data.report_file("a.json", Path("data")) == tmp_path / "a.json"
    for data in all_modules(ReadingConfig()):
        assert data.report_file("a.json", Path("data")) == Path("data/a.json")
        data.trainer = SimpleNamespace(log_dir="the run")
        assert data.report_file("a.json", Path("data")) == Path("the run/a.json")


@pytest.mark.parametrize("place", range(5))
def test_every_data_module_of_prompts_predicts_the_split_that_is_named(tmp_path: Path, place: int) -> None:
    (tmp_path / "val.jsonl").write_text('{"question": "?", "completion": "!"}')
    data = all_modules(ReadingConfig(predict_split="val"))[place]
    data.source = PromptFolder(str(tmp_path))
    data.setup("predict")
    assert [prompt.question for batch in data.predict_dataloader() for prompt in batch] == ["?"]


def test_a_longest_prompt_means_nothing_to_pairs_alone() -> None:
    with pytest.raises(ConfigError, match=r"data\.reading\.max_prompt_tokens must be null with PairDataModule, got 9"):
        PairDataModule(PAIRS, reading=ReadingConfig(max_prompt_tokens=9))


def test_pairs_from_files_and_from_rollouts_are_told_apart_by_the_steps_between_rollouts() -> None:
    assert PreferenceDataModule(PROMPTS, PAIRS).refresh_every is None
    assert OnlinePreferenceDataModule(PROMPTS, refresh_every=3).refresh_every == 3
