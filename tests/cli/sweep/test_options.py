"""What a sweep is asked for, and what it refuses before anything runs."""

from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.sweep.options import read_options

GRPO = "configs/tiny/grpo.yaml"
REPLAY = "configs/ablations/replay"
NO_SSB, UNIFORM = f"{REPLAY}/no_ssb.yaml", f"{REPLAY}/uniform_replay.yaml"


def test_overlays_seeds_and_flags_of_every_run_are_told_apart() -> None:
    found = read_options(
        ["--config", GRPO, "--trainer.max_steps", "8", "--overlays", NO_SSB, UNIFORM, "--seeds", "0", "2",
         "--model.sampling.group_size=4", "--jobs", "2", "--cores", "5"]
    )  # fmt: skip
    assert (found.configs, found.variants, found.seeds) == ([GRPO], [NO_SSB, UNIFORM], [0, 2])
    assert found.shared == ["--trainer.max_steps", "8", "--model.sampling.group_size=4"]
    # The budget is shared, and what does not divide evenly stays free.
    assert (found.jobs, found.threads, found.baseline) == (2, 2, None)


@pytest.mark.parametrize(
    ("given", "baseline", "variants"),
    [
        (["--baseline"], "", ["", NO_SSB]),
        (["--baseline", "no_ssb"], NO_SSB, [NO_SSB]),
        (["--baseline", NO_SSB], NO_SSB, [NO_SSB]),
        (["--baseline", UNIFORM], UNIFORM, [UNIFORM, NO_SSB]),
    ],
)
def test_the_baseline_is_run_too_and_comes_first(given: list[str], baseline: str, variants: list[str]) -> None:
    found = read_options(["--config", GRPO, "--overlays", NO_SSB, "--seeds", "0", *given])
    assert (found.baseline, found.variants) == (baseline, variants)


def test_without_overlays_the_config_itself_is_run() -> None:
    assert read_options(["--config", GRPO]).variants == [""]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], r"sweep: .*--config"),
        (["--config", GRPO, "--seeds", "a"], r"--seeds: invalid int value: 'a'"),
        (["--config", GRPO, "--seeds", "1", "1"], "a seed is named twice"),
        (["--config", GRPO, "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--config", GRPO, "--jobs", "4", "--cores", "2"], "--jobs 4 is more than the 2 cores"),
        (["--config", GRPO, "--baseline", "no_sbs", "--overlays", NO_SSB], r"neither a file nor one .*\(no_ssb\)"),
        (["--config", GRPO, "--trainer.max_steps=3", NO_SSB], "no_ssb.yaml belongs to no flag"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(arguments: list[str], found: str) -> None:
    with pytest.raises(ConfigError, match=found) as refused:
        read_options(arguments)
    assert "\n" not in str(refused.value)


def test_paths_of_files_are_paths() -> None:
    found = read_options(["--config", GRPO, "--slurm", "a.sh", "--out", "b", "--dry_run"])
    assert (found.slurm, found.out, found.dry_run) == (Path("a.sh"), Path("b"), True)
