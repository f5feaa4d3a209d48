"""What a panel shows: every method's curves in view, a band where it says something, the same file again."""

from pathlib import Path

from matplotlib.figure import Figure

from run_records import draw_on, draw_panels
from run_records.figures import draw_panel

LOW = [[(0.0, 0.1), (1.0, 0.2)], [(0.0, 0.12), (1.0, 0.22)], [(0.0, 0.11), (1.0, 0.19)]]
HIGH = [[(x, y + 0.7) for x, y in curve] for curve in LOW]


def panel(methods):
    axes = Figure().subplots()
    draw_panel(axes, "title", methods)
    return axes


def test_the_curves_of_every_method_are_in_view() -> None:
    low, high = panel({"first": LOW, "second": HIGH}).get_ylim()
    assert low < 0.1
    assert high > 0.92


def test_two_seeds_have_no_band_and_three_have_one_that_does_not_widen_the_view() -> None:
    assert len(panel({"two": LOW[:2]}).collections) == 0
    wild = [[(0.0, 0.0), (1.0, 0.0)], [(0.0, 0.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 1.0)]]
    axes = panel({"three": wild})
    assert len(axes.collections) == 1
    assert axes.get_ylim()[1] < 1.1


def test_a_method_has_one_colour_in_all_panels_also_where_another_one_has_no_curve() -> None:
    both, alone = panel({"first": LOW, "second": HIGH}), panel({"first": [], "second": HIGH})
    assert both.get_lines()[-1].get_color() == alone.get_lines()[-1].get_color()


def test_the_same_curves_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_panels({"title": {"method": LOW}}, tmp_path / f"{name}.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


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
