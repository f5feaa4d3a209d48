"""Curves are read as the run went, and drawn for every run that has them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from run_records import compare, draw_panels, read_curves, write_report
from run_records.figures import mean_and_band
from tests.cli.run_record.hand_made import written

ACCURACY = "val/greedy_accuracy"


def logged(folder: Path, name: str, values: dict[int, float], second: int) -> None:
    writer = SummaryWriter(str(folder), filename_suffix=f".{second}")
    for step, value in values.items():
        writer.add_scalar(name, value, step, walltime=second + step)
    writer.close()
    (file,) = folder.glob(f"*.{second}")
    # As if it had been opened then.
    file.rename(folder / f"events.out.tfevents.{second}.host.1.0")


def test_steps_that_a_killed_run_logged_and_the_resumed_one_again_count_once_as_the_run_went_on(tmp_path: Path) -> None:
    logged(tmp_path, "loss", {1: 0.9, 2: 0.8, 3: 0.7}, second=1000)
    logged(tmp_path, "loss", {2: 0.81, 3: 0.71, 4: 0.6}, second=2000)
    curves = read_curves(tmp_path, ["loss", "never logged"])
    assert list(curves) == ["loss"]
    steps = [(point.step, point.value) for point in curves["loss"]]
    assert steps == [
        (1, pytest.approx(0.9)),
        (2, pytest.approx(0.81)),
        (3, pytest.approx(0.71)),
        (4, pytest.approx(0.6)),
    ]
    assert curves["loss"][1].time == 2002


def test_a_band_is_the_interval_of_the_mean_where_all_curves_are_known() -> None:
    curves = [np.array([[0.0, 0.0], [10.0, 10.0]]), np.array([[5.0, 7.0], [20.0, 22.0]])]
    x, mean, low, high = mean_and_band(curves)
    assert (x[0], x[-1]) == (5.0, 10.0)
    # y = x and y = x + 2: mean x + 1, half width t(0.975, 1) * sqrt(2) / sqrt(2) = 12.706.
    assert np.allclose(mean, x + 1.0)
    assert np.allclose(high - mean, 12.7062, atol=1e-3)
    assert np.allclose(mean - low, 12.7062, atol=1e-3)


def test_the_report_draws_every_compared_metric_that_has_a_curve(tmp_path: Path) -> None:
    for title in ("grpo", "grpo-no_ssb"):
        for seed in (0, 1):
            folder = tmp_path / f"{title}-s{seed}"
            written(folder, title, seed, metrics={ACCURACY: 0.5, "val/sampled_accuracy": 0.4})
            logged(folder, ACCURACY, {0: 0.1, 5: 0.3 + 0.1 * seed, 10: 0.5}, second=1000)
    files = write_report(compare([tmp_path]), tmp_path / "out")
    assert [file.name for file in files] == ["table.md", "table.json", "curves.png", "curves.svg"]
    with Image.open(files[2]) as picture:
        assert picture.size[0] > 500
        # One panel, four thin lines: not an empty page.
        assert len(picture.convert("RGB").getcolors(100_000) or ()) > 10
    assert ElementTree.parse(files[3]).getroot().tag.endswith("svg")


def test_a_panel_leaves_out_methods_without_curves_and_takes_runs_of_one_seed(tmp_path: Path) -> None:
    panels = {"a": {"one": [[(0.0, 0.0), (1.0, 1.0)]], "none": [], "empty": [[]]}, "b": {"none": []}}
    files = draw_panels(panels, tmp_path / "figure.png")
    assert [file.name for file in files] == ["figure.png", "figure.svg"]
    assert all(file.stat().st_size > 1000 for file in files)


def test_a_method_has_one_colour_in_all_panels_and_one_line_in_the_legend(tmp_path: Path) -> None:
    line = [[(0.0, 0.0), (1.0, 1.0)]]
    panels = {"a": {"one": line, "two": line}, "b": {"two": line, "three": line}, "c": {"three": line}}
    _, drawn = draw_panels(panels, tmp_path / "figure.png")
    text = drawn.read_text()
    thick = re.findall(r"stroke: (#\w+); stroke-width: 2", text)
    first, second, third = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito
    # The panels one after the other, then the legend.
    assert thick == [first, second, second, third, third, first, second, third]
