"""An overlay is laid over the configs it was made for, and over no others."""

from pathlib import Path

import pytest
import yaml

from algorithms import ConfigError
from cli.app import run
from cli.given.overlays import check_overlays
from cli.given.settings import config_files
from lightning_modules import GRPOModule

TINY, ABLATIONS = "configs/tiny", "configs/ablations"
GRPO, MPO = f"{TINY}/grpo.yaml", f"{TINY}/mpo.yaml"


class OwnGRPO(GRPOModule):
    """A module of the user's."""


def check(*files: str | Path) -> None:
    check_overlays(config_files([f"--config={file}" for file in files]))


@pytest.mark.parametrize(
    ("below", "overlay", "found"),
    [
        ([], f"{ABLATIONS}/replay/no_ssb.yaml", "nothing is below it"),
        ([], "configs/hardware/cpu2.yaml", "nothing is below it"),
        ([MPO], f"{ABLATIONS}/replay/no_ssb.yaml", r"MPOModule on PreferenceDataModule \(configs/tiny/mpo.yaml\)"),
        ([MPO], f"{ABLATIONS}/objective/cispo.yaml", "MPOModule on PreferenceDataModule"),
        ([GRPO], f"{ABLATIONS}/objective/sft.yaml", "GRPOModule on ExperienceDataModule"),
        ([GRPO], f"{TINY}/overlays/grpo_calibrated.yaml", "without model.reward.parts.preference"),
        (
            [GRPO, f"{TINY}/overlays/grpo_biased.yaml"],
            f"{ABLATIONS}/loop/no_monitor.yaml",
            "without callbacks.calibrator",
        ),
        ([MPO], f"{TINY}/overlays/mpo_biased.yaml", "MPOModule on PreferenceDataModule"),
        ([GRPO], f"{ABLATIONS}/loop/low_threshold.yaml", "GRPOModule on ExperienceDataModule"),
        ([f"{TINY}/stages/adapter.yaml"], "configs/engines/vllm.yaml", "AlignmentModule on DemonstrationDataModule"),
        ([f"{TINY}/stages/vision_tower.yaml"], f"{ABLATIONS}/parts/adapter_only.yaml", "VisionTowerModule"),
        ([GRPO], "configs/hardware/fsdp.yaml", "GRPOModule on ExperienceDataModule"),
    ],
)
def test_an_overlay_over_another_config_is_refused_with_what_it_lies_over(below, overlay, found) -> None:
    over = Path(overlay).read_text().splitlines()[0].removeprefix("# Lies over: ")
    with pytest.raises(ConfigError, match=found) as refused:
        run(["fit", *(f"--config={file}" for file in below), f"--config={overlay}", "--print_config"])
    assert str(refused.value).startswith(f"{overlay} lies over {over}, and ")


def test_a_copy_of_a_base_under_another_name_takes_the_overlays(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(Path(GRPO).read_text())
    check(tmp_path / "mine.yaml", f"{TINY}/overlays/hybrid.yaml", f"{ABLATIONS}/replay/no_ssb.yaml")


def test_a_short_class_name_and_a_class_of_the_users_own_take_the_overlays_of_their_base(tmp_path: Path) -> None:
    content = yaml.safe_load(Path(GRPO).read_text())
    for name in ("GRPOModule", "tests.cli.test_overlays.OwnGRPO"):
        content["model"]["class_path"] = name
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
        check(tmp_path / "mine.yaml", f"{ABLATIONS}/replay/no_ssb.yaml")


def test_a_key_that_an_overlay_below_has_set_to_null_is_missing(tmp_path: Path) -> None:
    (tmp_path / "off.yaml").write_text("callbacks: {calibrator: null}\n")
    stack = [GRPO, f"{TINY}/overlays/grpo_biased.yaml", f"{TINY}/overlays/grpo_calibrated.yaml"]
    check(*stack, f"{ABLATIONS}/loop/no_monitor.yaml")
    with pytest.raises(ConfigError, match=r"without callbacks.calibrator"):
        check(*stack, tmp_path / "off.yaml", f"{ABLATIONS}/loop/no_monitor.yaml")


@pytest.mark.parametrize("line", ["GRPOModule on", "some config", "GRPOModule with", "", "GRPOModule,"])
def test_a_first_line_that_cannot_be_read_is_refused_with_what_is_allowed(line: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"# Lies over: {line}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml begins with .* none of: any config, MODULE"):
        check(GRPO, tmp_path / "mine.yaml")


def test_a_file_below_that_cannot_be_read_is_left_to_the_parser(tmp_path: Path) -> None:
    check(tmp_path / "missing.yaml", f"{ABLATIONS}/replay/no_ssb.yaml")
