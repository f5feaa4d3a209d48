import json
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from callbacks import CompletionsPage, PredictionWriter, TensorBoardLayout
from callbacks.completions_page import _as_text
from callbacks.tensorboard_layout import STORY, layout_of
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


def plots(folder: Path) -> dict[str, list[str]]:
    """The plots of the newest layout, by title, each with its patterns."""
    newest = events(folder).Tensors("custom_scalars__config__")[-1]
    layout = Layout.FromString(newest.tensor_proto.string_val[0])
    return {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}


def test_the_layout_grows_with_what_the_run_logs_and_a_resumed_run_keeps_it(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    layout = TensorBoardLayout()
    run.logged_metrics = {"rollout/accuracy": 0.1, "something/else": 1.0}
    layout.on_train_batch_end(run, None, None, None, 0)
    resumed = TensorBoardLayout()
    resumed.load_state_dict(layout.state_dict())
    run.logged_metrics = {"val/greedy_accuracy": 0.1}
    run.global_step = 9
    resumed.on_validation_end(run, None)
    run.loggers[0].experiment.flush()
    assert list(plots(tmp_path)) == ["held-out accuracy", "accuracy of rollouts"]


@pytest.mark.parametrize("tag", sorted({tag for page in STORY.values() for tags in page.values() for tag in tags}))
def test_a_plot_shows_just_the_metrics_that_it_names(tag: str) -> None:
    documented = re.findall(r"`([a-z_]+/\w+)`", Path("docs/metrics.md").read_text())
    assert tag in documented
    for page in layout_of({tag}).values():
        for title, (_, patterns) in page.items():
            shown = [metric for metric in documented if any(re.match(pattern, metric) for pattern in patterns)]
            assert {*shown} <= {metric for plots in STORY.values() for metric in plots.get(title, [])}
            assert tag in shown


def test_runs_that_log_different_metrics_have_equal_plots() -> None:
    with_monitor = layout_of({"hallucination/rate", "val/hallucination_rate"})
    without = layout_of({"val/hallucination_rate"})
    page = "2 Does it say what it sees?"
    assert with_monitor[page]["hallucination rate"] == without[page]["hallucination rate"]
    assert "reward against hallucination" not in without[page]


def test_the_same_held_out_prompts_are_shown_at_every_validation(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.sanity_checking = False
    page = CompletionsPage(num_fixed=1)
    for run.global_step in (0, 5):
        page.on_validation_batch_end(run, None, phase("a", "b", "c"), None, 0)
        page.on_validation_batch_end(run, None, phase("a", "b", "c"), None, 1)
        page.on_validation_batch_end(run, None, None, None, 0, 1)
    run.loggers[0].experiment.flush()
    assert events(tmp_path).Tags()["images"] == ["completions/fixed_0"]
    assert [event.step for event in events(tmp_path).Images("completions/fixed_0")] == [0, 5]


@pytest.mark.parametrize("text", ["<b>", "1 * 2 * 3", "a_b_c", "# no heading", "- no list", "[x](y)", "`code`"])
def test_a_completion_is_shown_as_it_was_sampled_and_not_as_markdown(text: str) -> None:
    html = markdown_to_safe_html(_as_text(phase("x", text, judge=None).group(0)))
    assert unescape(re.sub(r"<[^>]*>", "", html)).rstrip().endswith(text)


def test_the_text_page_tells_true_claims_from_false_ones() -> None:
    text = _as_text(phase("red-circle blue-star").group(0))
    assert "**red\\-circle** ✓" in text
    assert "**blue\\-star** ✗" in text


def test_predictions_hold_prompt_completions_parts_and_claims(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "out" / "p.jsonl"))
    run = SimpleNamespace(world_size=1, log_dir=None)
    writer.on_predict_start(run, None)
    writer.on_predict_batch_end(run, None, phase("red-circle blue-star"), [PROMPT], 0)
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "p.jsonl").read_text().splitlines()]
    assert (row["key"], row["answer"]) == ("a", "1")
    assert row["completions"][0]["reward_parts"] == {"accuracy": 0.0, "x": None}
    assert [claim["is_supported"] for claim in row["completions"][0]["claims"]] == [True, False]
