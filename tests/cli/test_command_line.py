from typing import Any

import pytest
from lightning.pytorch.cli import LightningCLI

from cli.app import main, planned
from cli.callback_slots import KNOWN_SLOTS, slot_names
from cli.given.settings import config_files, flags

BASE = ["fit", "--config=configs/tiny/grpo.yaml"]


def message(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["--model.grop_size=4"], "grop_size"),
        (["--model.sampling.group_size=many"], "group_size"),
        (["--config=configs/none.yaml"], "configs/none.yaml"),
        (["--callbacks.completionz.every_n_rollouts=3"], "completionz"),
    ],
)
def test_a_wrong_setting_is_named_without_a_traceback(settings, named, capsys) -> None:
    text = message([*BASE, *settings], capsys)
    assert named in text
    assert "Traceback" not in text
    assert "usage:" not in text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["--model.reference=models.PretrainedPolicy"], "model.reference: "),
        (["--data.pairs=datamodules.ShapesPair"], "data.pairs: "),
        (["--model.mpo.reward_shift=ema"], "model.mpo.reward_shift must be one of "),
        (["--data.selection.threshold=high"], "data.selection.threshold must be a number or null, got high"),
    ],
)
def test_a_wrong_nested_value_is_one_line_that_begins_with_its_key(settings, named, capsys) -> None:
    text = message(["fit", "--config=configs/tiny/mpo.yaml", *settings], capsys)
    assert text.startswith(f"error: {named}")
    assert len(text.strip().splitlines()) <= 2
    assert len(text) < 500


def test_a_group_of_one_is_refused_in_one_line(capsys, tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    flags = ["--model.sampling.group_size=1", f"--model.init_args.policy.path={tmp_path}"]
    assert message([*BASE, *flags], capsys).startswith("error: model.sampling.group_size must be at least 2, got 1")


def test_new_callback_names_come_from_files_and_flags(tmp_path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("callbacks: {mine: {class_path: x.Y}, export: null}\n")
    arguments = ["fit", "--config", str(overlay), "--callbacks.other=z.W", "--callbacks.other.n=1"]
    assert slot_names([*config_files(arguments), *flags(arguments)]) == [*KNOWN_SLOTS, "mine", "other"]


def test_a_config_that_is_no_yaml_is_named_with_the_line(capsys, tmp_path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: [\n")
    assert f"{broken}, line 2: no YAML" in message(["fit", f"--config={broken}", *BASE[1:]], capsys)


def test_a_config_may_be_given_as_text(capsys) -> None:
    text = '{"model": {"class_path": "GRPOModule"}, "data": {"class_path": "ExperienceDataModule"}}'
    overlay = "--config=configs/ablations/replay/no_ssb.yaml"
    # What is missing in the text is named, and the overlay is not refused.
    assert "policy" in message(["fit", f"--config={text}", overlay], capsys)


def test_a_command_builds_its_own_parser_and_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    prepare = LightningCLI._prepare_subcommand_parser

    def noted(self: LightningCLI, trainer: type, command: str, **settings: Any) -> Any:
        built.append(command)
        return prepare(self, trainer, command, **settings)

    monkeypatch.setattr(LightningCLI, "_prepare_subcommand_parser", noted)
    planned(BASE)
    assert built == ["fit"]
