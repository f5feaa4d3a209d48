"""What the benchmarks of speed train on."""

import json
from pathlib import Path

import pytest

from datamodules import ShapesFolder
from experiments.speed import growth
from experiments.speed.clock import forget_peak, peak_gibibytes
from experiments.speed.subjects import fresh_policy, lengthen
from models import PretrainedPolicy


def test_prompts_are_lengthened_to_exactly_the_tokens_asked_for_and_never_cut(tmp_path: Path) -> None:
    policy = fresh_policy(tmp_path)
    folder = ShapesFolder(num_train=3, num_val=1, num_test=1, root=str(tmp_path))
    folder.prepare()
    lengthen(folder.split_file("train"), folder.folder, policy, 70)
    encoder, rows = PretrainedPolicy(policy).build().encoder, folder.read("train", max_image_pixels=10**6)
    assert rows is not None
    assert [encoder.length(prompt) for prompt in rows.prompts] == [70] * 3
    with pytest.raises(SystemExit, match="--prompt-tokens 10: the prompts have 70 to 70 tokens"):
        lengthen(folder.split_file("train"), folder.folder, policy, 10)


def test_the_peak_of_memory_is_that_since_it_was_forgotten() -> None:
    forget_peak()
    before = peak_gibibytes()
    grown = bytearray(2**27)
    grown[::4096] = b"1" * len(grown[::4096])
    during = peak_gibibytes()
    del grown
    forget_peak()
    after = peak_gibibytes()
    assert before is not None and during is not None and after is not None  # noqa: PT018  (Linux)
    assert during > before + 0.1 > after


@pytest.mark.long
def test_growth_is_measured_for_every_length_and_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "OUT", tmp_path / "growth.json")
    sizes = ["--prompt-tokens", "16", "32", "--group-sizes", "3", "--group-size=2"]
    growth.main(["--hidden-size=32", "--layers=1", "--tokens=4", *sizes])
    cells = json.loads((tmp_path / "growth.json").read_text())["cells"]
    assert [(cell["prompt"], cell["group"]) for cell in cells] == [(16, 2), (32, 2), (32, 3)]
    assert cells[2]["times fewer tokens"] == pytest.approx((3 * 32 + 12) / (32 + 12))
