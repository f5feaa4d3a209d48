"""What the benchmarks of speed train on."""

from pathlib import Path

import pytest

from datamodules import ShapesFolder
from experiments.speed import mpo
from experiments.speed.clock import StepClock, forget_peak, peak_gibibytes
from experiments.speed.grpo import prompts_of
from experiments.speed.subjects import fresh_policy, lengthen
from models import PretrainedPolicy


def test_prompts_are_lengthened_to_exactly_the_tokens_asked_for_and_never_cut(tmp_path: Path) -> None:
    policy = fresh_policy(tmp_path)
    folder = ShapesFolder(num_train=3, num_val=1, num_test=1, root=str(tmp_path))
    folder.prepare()
    lengthen(folder.split_file("train"), lambda: prompts_of(folder), policy, 70)
    encoder, rows = PretrainedPolicy(policy).build().encoder, folder.read("train", max_image_pixels=10**6)
    assert rows is not None
    assert [encoder.length(prompt) for prompt in rows.prompts] == [70] * 3
    with pytest.raises(SystemExit, match="--prompt-tokens 10: the prompts have 70 to 70 tokens"):
        lengthen(folder.split_file("train"), lambda: prompts_of(folder), policy, 10)


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


def test_a_part_that_runs_twice_in_a_step_counts_twice_and_the_first_steps_do_not_count() -> None:
    clock = StepClock(warm_up=1)
    clock.ends = [0.0, 30.0, 40.0]
    clock.seconds |= {"forward": [9.0, 9.0, 1.0, 3.0], "optimizer": [20.0, 7.0]}
    assert clock.totals("forward") == 4.0
    # The last forward runs within the optimizer's step.
    assert clock.part("optimizer", without=("forward",)) == 5.0


def test_lengths_of_drawn_pairs_are_refused_where_the_pairs_are_given(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        mpo.main(["--meta", "meta.json", "--tokens", "9"])
    assert "--prompt-tokens and --tokens change drawn pairs alone: leave out --meta." in capsys.readouterr().err
