"""Figures of curves, for files and for notebooks."""

from pathlib import Path

from matplotlib.figure import Figure

from run_records import draw_on, draw_panels

PANELS = {
    "accuracy": {"grpo": [[(0, 0.1), (10, 0.5)], [(0, 0.2), (10, 0.4)]], "no_ssb": [[(0, 0.1), (10, 0.3)]]},
    "age": {},
}


def test_a_notebook_gets_one_panel_for_each_title_with_a_legend_of_the_methods() -> None:
    figure = Figure()
    draw_on(figure, PANELS, x_label="steps")
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "age"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"steps"}
    assert figure.axes[0].get_legend_handles_labels()[1] == ["grpo", "no_ssb"]


def test_the_same_figure_is_drawn_as_png_and_svg(tmp_path: Path) -> None:
    files = draw_panels(PANELS, tmp_path / "new" / "curves.png")
    assert [file.suffix for file in files] == [".png", ".svg"]
    assert all(file.stat().st_size > 1000 for file in files)


def test_the_wide_band_of_one_method_cuts_off_no_curve_of_another() -> None:
    figure = Figure()
    near = [[(0, 0.50), (10, 0.51)], [(0, 0.51), (10, 0.50)]]
    draw_on(figure, {"accuracy": {"first": near, "second": [[(0, 0.1), (10, 0.9)]]}})
    low, high = figure.axes[0].get_ylim()
    assert low < 0.1
    assert 0.9 < high < 1.0
