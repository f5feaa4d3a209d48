"""Cells of ``make bench-growth``: each measured once, and every number of docs/speed.md is what they say."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datamodules import PreferenceFolder
from experiments.speed import mpo
from experiments.speed.growth import __main__ as growth
from experiments.speed.growth import page
from experiments.speed.growth.arithmetic import estimated_seconds, passes
from experiments.speed.growth.cells import AXES, MIDDLE, Cell, every_cell, is_short
from experiments.speed.growth.figures import draw
from experiments.speed.growth.measured_cells import MeasuredCell, as_measured, read_all, write
from experiments.speed.subjects import MODELS, fresh_policy, policy_of
from models import PretrainedPolicy

STORED = sorted(page.STORED.glob("*.json"))
# Of a processor core, floating-point operations per second of a matrix product.
CORE = 7e10


def measured(cell: Cell, policies: Path | None = None, ours: float = 2.0) -> MeasuredCell:
    """What a measurement returns, without one."""
    side: dict[str, Any] = {
        "step": ours,
        "processor_step": ours,
        "gibibytes": 1.5,
        "idle_gibibytes": 0.5,
        "load": [1.0, 2.0],
    }
    trl = {**side, "step": 5.0, "processor_step": 6.0, "gibibytes": 4.5}
    return as_measured(cell, {"ours": side, "trl": trl}, seconds=9.0, threads=1)


def with_wrong_digit(text: str) -> str:
    """The text with the last digit of one number of our processor seconds changed."""
    found = re.search(r'"processor_step": [\d.]*(\d)', text)
    assert found
    return text[: found.end() - 1] + str((int(found[1]) + 5) % 10) + text[found.end() :]


def test_the_page_says_what_the_stored_cells_say() -> None:
    assert page.PAGE.read_text() == page.page(page.stored()), "run `make speed-page`"


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_wrong_digit_in_a_stored_cell_is_found(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(page.STORED, tmp_path / "measured")
    (tmp_path / "measured" / path.name).write_text(with_wrong_digit(path.read_text()))
    changed = read_all(tmp_path / "measured", every_cell())
    assert changed != page.stored()
    assert page.page(changed) != page.PAGE.read_text()


def test_every_stored_cell_is_one_of_the_list_as_it_is_today_and_small() -> None:
    assert STORED
    assert sorted(page.stored()) == [path.stem for path in STORED]
    assert max(path.stat().st_size for path in STORED) < 3_000


def test_the_figures_of_the_page_are_there_as_png_and_svg() -> None:
    shown = re.findall(r"\((figures/speed/\w+\.png)\)", page.PAGE.read_text())
    assert shown == [f"figures/speed/{kind}.png" for kind in MIDDLE]
    assert all((page.PAGE.parent / path).with_suffix(ending).is_file() for path in shown for ending in (".png", ".svg"))


def test_every_axis_changes_one_key_of_the_middle_which_is_among_its_values() -> None:
    names = [cell.name for cell in every_cell()]
    assert len(names) == len(set(names))
    for kind, axes in AXES.items():
        for key, values in axes.items():
            assert getattr(MIDDLE[kind], key) in values
            assert {replace(MIDDLE[kind], **{key: value}).name for value in values} <= set(names)


def test_what_is_measured_by_default_takes_about_ten_minutes_on_two_cores() -> None:
    seconds = sum(estimated_seconds(cell, 2 * CORE) for cell in every_cell() if is_short(cell))
    assert 120 < seconds < 800


def test_a_prompt_is_counted_once_here_and_in_every_row_in_trl() -> None:
    cell = Cell(kind="grpo", prompt=100, group=4, answer=10, recompute=False)
    assert passes(cell) == (3 * 140 + 100 + 3.5 * 40, 3 * 440 + 400 + 3.5 * 40)
    pairs = Cell(kind="mpo", prompt=100, group=4, answer=10, recompute=True)
    assert passes(pairs) == (4 * 480, (4 + 1) * 880)


def test_a_cell_is_written_when_it_is_done_and_never_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    first, second = every_cell()[:2]
    asked: list[str] = []

    def stops_at_the_second(cell: Cell, policies: Path) -> MeasuredCell:
        asked.append(cell.name)
        if cell == second:
            raise KeyboardInterrupt
        return measured(cell)

    with pytest.raises(KeyboardInterrupt):
        growth.run(growth.announce([first, second], tmp_path), tmp_path, stops_at_the_second)
    assert "2 of 2 cells to measure, 0 are in" in capsys.readouterr().out
    missing = growth.announce([first, second], tmp_path)
    assert missing == [second]
    growth.run(missing, tmp_path, lambda cell, policies: measured(cell))
    assert asked == [first.name, second.name]
    assert growth.announce([first, second], tmp_path) == []


def test_a_cell_whose_setting_was_changed_since_is_measured_again(tmp_path: Path) -> None:
    cell = every_cell()[0]
    write(measured(replace(cell, steps=cell.steps + 1)), tmp_path)
    assert growth.announce([cell], tmp_path) == [cell]


def test_a_cell_that_does_not_exist_is_refused_with_the_names_of_those_that_do(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        growth.main(["--cells", "grpo-7B"])
    assert "there is no such cell. There are grpo-10M-p512-g8-a128-recomputed" in capsys.readouterr().err


def test_memory_is_that_above_what_the_process_held_before(tmp_path: Path) -> None:
    cell = measured(MIDDLE["mpo"])
    assert (cell.gibibytes("ours"), cell.gibibytes("trl"), cell.ratio(), cell.ratio("step")) == (1.0, 4.0, 3.0, 2.5)
    assert draw({cell.cell.name: cell}, tmp_path) == [tmp_path / "mpo.png"]
    first = (tmp_path / "mpo.svg").read_text()
    draw({cell.cell.name: cell}, tmp_path)
    assert (tmp_path / "mpo.svg").read_text() == first


def test_pairs_have_prompts_and_completions_of_exactly_the_tokens_asked_for(tmp_path: Path) -> None:
    policy = fresh_policy(tmp_path)
    options = mpo.argparse.Namespace(prompt_tokens=70, tokens=9)
    pairs = mpo.drawn_pairs(tmp_path, policy, options, num_train=3)
    assert isinstance(pairs, PreferenceFolder)
    encoder, rows = PretrainedPolicy(policy).build().encoder, mpo.read(pairs)
    assert [encoder.length(pair.prompt) for pair in rows] == [70] * 3
    answers = [text for pair in rows for text in (pair.chosen, pair.rejected)]
    assert [len(ids) for ids in encoder.completion_ids(answers, [True] * 6)] == [9] * 6
    assert all(pair.chosen != pair.rejected for pair in rows)


@pytest.mark.parametrize("name", ["1M", "10M"])
def test_a_random_policy_has_about_as_many_parameters_as_its_name_says(name: str, tmp_path: Path) -> None:
    policy = PretrainedPolicy(policy_of(MODELS[name], tmp_path)).build()
    assert sum(p.numel() for p in policy.parameters()) == pytest.approx(MODELS[name].parameters, rel=0.15)
    longest = max(cell.prompt + cell.answer for cell in every_cell())
    assert policy.context_length is not None
    assert policy.context_length > longest


@pytest.mark.long
@pytest.mark.parametrize("kind", MIDDLE)
def test_both_sides_of_a_cell_are_measured_in_processes_of_their_own(kind: Any, tmp_path: Path) -> None:
    cell = Cell(kind=kind, model="1M", prompt=64, group=2, answer=4, steps=3)
    found = growth.measure(cell, tmp_path)
    write(found, tmp_path)
    stored = json.loads((tmp_path / f"{cell.name}.json").read_text())
    for side in ("ours", "trl"):
        assert stored["sides"][side]["processor_step"] > 0
        assert stored["sides"][side]["gibibytes"] > stored["sides"][side]["idle_gibibytes"] > 0
        assert len(stored["sides"][side]["load"]) == 2
    # One process after the other: the second is not born with what the first one needed.
    ours, trl = (stored["sides"][side]["idle_gibibytes"] for side in ("ours", "trl"))
    assert trl == pytest.approx(ours, rel=0.2)
