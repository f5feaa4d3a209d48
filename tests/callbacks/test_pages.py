import json
from pathlib import Path
from types import SimpleNamespace

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks import CompletionsPage, PredictionWriter, TensorBoardLayout
from tests.callbacks.test_cards import PROMPT, phase


def trainer(folder: Path):
    return SimpleNamespace(
        is_global_zero=True, loggers=[TensorBoardLogger(str(folder), name="run", version="0")], global_step=3
    )


def events(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "run" / "0"), size_guidance={"images": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_the_page_holds_cards_texts_and_histograms(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    page = CompletionsPage(every_n_rollouts=2, num_prompts=1)
    for _ in range(2):
        page.on_rollout_end(run, None, phase("a", "<b>"))
    run.loggers[0].experiment.flush()
    tags = events(tmp_path).Tags()
    assert tags["images"] == ["completions/prompt_0"]
    assert len(events(tmp_path).Images("completions/prompt_0")) == 1
    assert set(tags["histograms"]) == {"rollout/reward_histogram", "rollout/advantage_histogram"}
    text = events(tmp_path).Tensors("completions/text/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "&lt;b&gt;" in text


def test_the_layout_is_written_for_the_custom_scalars_page(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    TensorBoardLayout().on_train_start(run, None)
    run.loggers[0].experiment.flush()
    assert "custom_scalars__config__" in events(tmp_path).Tags()["tensors"]


def test_predictions_hold_prompt_completions_parts_and_claims(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "out" / "p.jsonl"))
    run = SimpleNamespace(world_size=1, log_dir=None)
    writer.on_predict_start(run, None)
    writer.on_predict_batch_end(run, None, phase("red-circle blue-star"), [PROMPT], 0)
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "p.jsonl").read_text().splitlines()]
    assert (row["key"], row["answer"]) == ("a", "1")
    assert row["completions"][0]["reward_parts"] == {"accuracy": 0.0, "x": None}
    assert [claim["is_supported"] for claim in row["completions"][0]["claims"]] == [True, False]
