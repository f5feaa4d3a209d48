"""What the trainer gets from a folder of prompts, on one rank and on several."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from algorithms.errors import ConfigError, DataError
from algorithms.records import Prompt
from datamodules.prompts import PromptDataModule
from datamodules.reading import ReadingConfig
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.batches import PromptBatches


class WordCounter(LightningModule):
    """Counts words as tokens, and notes what its steps receive."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.received: dict[str, list[list[Prompt]]] = {"train": [], "val": [], "test": [], "predict": []}

    def prompt_length(self, prompt: Prompt) -> int:
        return len(prompt.question.split())

    def training_step(self, batch: list[Prompt], batch_idx: int) -> torch.Tensor:
        self.received["train"].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: list[Prompt], batch_idx: int) -> None:
        self.received["val"].append(batch)

    def test_step(self, batch: list[Prompt], batch_idx: int) -> None:
        self.received["test"].append(batch)

    def predict_step(self, batch: list[Prompt], batch_idx: int) -> None:
        self.received["predict"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@dataclass
class TrainerOfRank:
    """The attributes of a trainer that the data module reads."""

    global_rank: int = 0
    world_size: int = 1
    log_dir: str | None = None
    lightning_module: Any = None

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0


def write_split(folder: Path, split: str, questions: list[str]) -> None:
    (folder / f"{split}.jsonl").write_text("\n".join(json.dumps({"question": question}) for question in questions))


def data_module(folder: Path, trainer: TrainerOfRank | None = None, **settings: Any) -> PromptDataModule:
    data = PromptDataModule(PromptFolder(str(folder)), ReadingConfig(**settings))
    data.trainer = trainer  # pyright: ignore[reportAttributeAccessIssue]
    return data


def uids(batches: Any) -> list[list[int]]:
    return [[prompt.uid for prompt in batch] for batch in batches]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", 7), ("val", 5), ("test", 3)):
        write_split(data, split, [f"question {number} of {split}" for number in range(count)])
    return data


def quick_trainer(folder: Path, **settings: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **settings,
    )


@pytest.mark.parametrize(
    ("stage", "splits"),
    [("fit", {"train", "val"}), ("validate", {"val"}), ("test", {"test"}), ("predict", {"test"})],
)
def test_a_stage_reads_only_the_splits_that_it_needs(folder: Path, stage: str, splits: set[str]) -> None:
    data = data_module(folder)
    data.setup(stage)
    assert set(data.prompts) == splits


def test_a_split_is_read_once(folder: Path) -> None:
    data = data_module(folder)
    data.setup("fit")
    before = data.prompts["val"]
    (folder / "val.jsonl").unlink()
    data.setup("validate")
    assert data.prompts["val"] is before


def test_batches_keep_the_order_of_the_file(folder: Path) -> None:
    data = data_module(folder, batch_size=3)
    for stage in ("fit", "test"):
        data.setup(stage)
    assert uids(data.train_dataloader()) == [[0, 1, 2], [3, 4, 5], [6]]
    assert uids(data.val_dataloader()) == [[0, 1, 2], [3, 4]]
    assert uids(data.test_dataloader()) == uids(data.predict_dataloader()) == [[0, 1, 2]]
    assert len(data.train_dataloader()) == 3
    assert data.train_dataloader().num_workers == 0


def test_the_source_makes_its_data_before_it_is_read(folder: Path) -> None:
    class Drawn(PromptFolder):
        def prepare(self) -> None:
            write_split(self.folder, "drawn", ["a drawn question"])

    data = PromptDataModule(Drawn(str(folder), train="drawn"))
    data.prepare_data()
    data.setup("fit")
    assert data.prompts["train"][0].question == "a drawn question"


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_steps_of_every_stage_receive_lists_of_prompts(folder: Path, precision: Any) -> None:
    module, data, trainer = WordCounter(), data_module(folder, batch_size=4), quick_trainer(folder, precision=precision)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data)
    expected = {"train": [[0, 1, 2, 3], [4, 5, 6]], "val": [[0, 1, 2, 3], [4]], "test": [[0, 1, 2]]}
    assert {name: uids(batches) for name, batches in module.received.items()} == expected | {"predict": [[0, 1, 2]]}
    assert all(type(batch) is list for batches in module.received.values() for batch in batches)
    assert module.received["train"][0][0] is data.prompts["train"][0]


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8, 13])
def test_the_ranks_together_see_each_row_exactly_once(count: int, batch_size: int, num_ranks: int) -> None:
    prompts = [Prompt(uid=uid, key=str(uid), question="?") for uid in range(count)]
    shares = [uids(PromptBatches(prompts, batch_size, rank, num_ranks).loader()) for rank in range(num_ranks)]
    for rank, batches in enumerate(shares):
        assert [uid for batch in batches for uid in batch] == list(range(count))[rank::num_ranks]
        assert all(1 <= len(batch) <= batch_size for batch in batches)
    if batch_size > 1:
        assert len({len(batches) for batches in shares}) == 1


def test_each_rank_takes_its_share_from_the_trainer(folder: Path) -> None:
    shares = []
    for rank in range(2):
        data = data_module(folder, TrainerOfRank(rank, world_size=2), batch_size=2)
        data.setup("fit")
        shares.append(uids(data.val_dataloader()))
    assert shares == [[[0, 2], [4]], [[1], [3]]]


def test_lightning_does_not_deal_the_batches_out_a_second_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, trainer = data_module(folder), quick_trainer(folder, use_distributed_sampler=True)
    data.setup("validate")
    monkeypatch.setattr(type(trainer._accelerator_connector), "is_distributed", True)
    # Lightning asks this before it puts a sampler of its own into a loader.
    assert not trainer._data_connector._requires_distributed_sampler(data.val_dataloader())


def test_fewer_rows_than_ranks_are_refused(folder: Path) -> None:
    data = data_module(folder, TrainerOfRank(0, world_size=4))
    data.setup("test")
    with pytest.raises(DataError, match=r"test\.jsonl has 3 usable rows for 4 ranks"):
        data.test_dataloader()


def test_a_prompt_is_found_by_its_uid(folder: Path) -> None:
    write_split(folder, "train", ["a", "", "c"])
    data = data_module(folder)
    data.setup("fit")
    assert data.prompt("train", 2).question == "c"
    for uid in (1, 3):
        with pytest.raises(DataError, match=rf"prompt {uid} of .*train\.jsonl"):
            data.prompt("train", uid)


def test_rejected_rows_are_counted_logged_and_listed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_split(folder, "train", ["a", "", "c", "<image>"])
    data = data_module(folder, report_folder=str(folder / "reports"))
    with caplog.at_level(logging.WARNING, logger="datamodules.prompts"):
        data.setup("fit")
    assert data.rejected_fraction == {"train": 0.5, "val": 0.0}
    (record,) = caplog.records
    assert "rejected 2 of 4 rows: 1 empty question, 1 image marks do not match images" in record.getMessage()
    report = json.loads((folder / "reports" / "rejected_train.json").read_text())
    assert [row["row"] for row in report["rejected"]] == [1, 3]
    assert not (folder / "reports" / "rejected_val.json").exists()


def test_the_report_goes_to_the_log_folder_of_the_run(folder: Path, tmp_path: Path) -> None:
    write_split(folder, "test", ["a", ""])
    data_module(folder, TrainerOfRank(log_dir=str(tmp_path / "run"))).setup("test")
    assert (tmp_path / "run" / "rejected_test.json").exists()
    assert not (folder / "rejected_test.json").exists()


def test_a_report_folder_goes_before_the_log_folder(folder: Path, tmp_path: Path) -> None:
    write_split(folder, "test", ["a", ""])
    data_module(folder, TrainerOfRank(log_dir=str(tmp_path / "run")), report_folder=str(tmp_path / "mine")).setup(
        "test"
    )
    assert (tmp_path / "mine" / "rejected_test.json").exists()
    assert not (tmp_path / "run").exists()


def test_without_a_trainer_the_report_goes_to_the_notes_and_not_into_the_data_folder(folder: Path) -> None:
    write_split(folder, "test", ["a", ""])
    before = set(folder.rglob("*"))
    data = data_module(folder)
    data.setup("test")
    assert (data.source.notes_folder / "rejected_test.json").exists()
    assert set(folder.rglob("*")) == before


def test_only_the_first_rank_writes_and_logs(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_split(folder, "test", ["a", "", "c"])
    data = data_module(folder, TrainerOfRank(1, world_size=2))
    data.setup("test")
    assert data.rejected_fraction["test"] == pytest.approx(1 / 3)
    assert not data.source.notes_folder.exists()
    assert not caplog.records


def test_every_rank_asks_for_the_log_folder_because_the_trainer_sends_it_around(folder: Path) -> None:
    class Counting(TrainerOfRank):
        num_calls = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "log_dir":
                Counting.num_calls += 1
            return super().__getattribute__(name)

    for rank in range(2):
        data_module(folder, Counting(rank, world_size=2)).setup("test")
        assert rank + 1 == Counting.num_calls


def test_a_report_of_repaired_rows_does_not_stay(folder: Path) -> None:
    write_split(folder, "test", ["a", ""])
    data_module(folder).setup("test")
    write_split(folder, "test", ["a", "b"])
    data = data_module(folder)
    data.setup("test")
    assert json.loads((data.source.notes_folder / "rejected_test.json").read_text())["rejected"] == []


def test_a_report_that_cannot_be_written_stops_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_split(folder, "test", ["a", ""])
    data = data_module(folder, report_folder=str(folder / "test.jsonl"))  # a file, where no folder can be made
    data.setup("test")
    assert len(data.prompts["test"]) == 1
    assert "cannot be written" in caplog.text


def test_a_split_without_any_usable_row_stops_with_one_sentence(folder: Path) -> None:
    write_split(folder, "train", ["", "<image>", " "])
    with pytest.raises(DataError) as error:
        data_module(folder).setup("fit")
    message = str(error.value)
    for part in ("train.jsonl has 3 rows and none can be used", "2 empty question", "1 image marks do not match"):
        assert part in message
    assert "\n" not in message
    assert message.endswith(".")
    assert message.count(". ") == 0


def test_a_file_without_rows_is_refused(folder: Path) -> None:
    (folder / "test.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"test\.jsonl holds no rows"):
        data_module(folder).setup("test")


def test_prompts_that_are_too_long_are_left_out_and_never_cut(folder: Path) -> None:
    write_split(folder, "test", ["one two", "one two three four", "", "one two three"])
    data = data_module(folder, TrainerOfRank(lightning_module=WordCounter()), max_prompt_tokens=3)
    data.setup("test")
    assert [prompt.question for prompt in data.prompts["test"]] == ["one two", "one two three"]
    rejected = json.loads((data.source.notes_folder / "rejected_test.json").read_text())["rejected"]
    assert [(row["row"], row["reason"]) for row in rejected] == [(1, "too many tokens"), (2, "empty question")]
    assert rejected[0]["detail"] == "4 tokens, data.reading.max_prompt_tokens is 3"


def test_without_a_limit_nobody_counts_tokens(folder: Path) -> None:
    data = data_module(folder, TrainerOfRank(lightning_module=None))
    data.setup("fit")
    assert len(data.prompts["train"]) == 7


def test_a_split_read_before_there_was_a_trainer_is_measured_later(folder: Path) -> None:
    write_split(folder, "test", ["one", "one two"])
    data = data_module(folder, max_prompt_tokens=1)
    data.setup("test")
    assert len(data.prompts["test"]) == 2
    write_split(folder, "test", ["one"] * 5)  # not read again
    data.trainer = TrainerOfRank(lightning_module=WordCounter())  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(2):
        data.setup("test")
        assert uids([data.prompts["test"]]) == [[0]]
        assert data.rejected_fraction["test"] == 0.5


def test_a_module_that_cannot_count_is_named(folder: Path) -> None:
    data = data_module(folder, TrainerOfRank(lightning_module=torch.nn.Linear(1, 1)), max_prompt_tokens=5)
    with pytest.raises(
        ConfigError, match=r"data\.reading\.max_prompt_tokens must be null with Linear, got 5.*prompt_length"
    ):
        data.setup("fit")


def test_answered_prompts_are_left_out_of_prediction_batch_by_batch(folder: Path) -> None:
    data = data_module(folder, batch_size=2, predict_split="train")
    data.setup("predict")
    data.skip_answered([0, 1, 3])
    assert uids(data.predict_dataloader()) == [[2, 3], [4, 5], [6]]
    # A prediction without batches would end without its results.
    data.skip_answered(range(7))
    assert uids(data.predict_dataloader()) == [[6]]
