"""A name of before is refused with the name of today."""

from importlib import import_module
from pathlib import Path

import pytest
from lightning.pytorch import LightningDataModule, LightningModule

from algorithms import ConfigError
from cli.app import run
from cli.given.renamed import CALLBACK_KEYS, CLASSES, KEYS, check_renamed, new_class
from cli.given.settings import config_files, flags

HERE = "tests.cli.test_renamed"


class Changed(LightningModule):
    """Takes the settings of a policy module by their new names."""

    def __init__(self, learning: dict, sampling: dict, judge: str | None = None) -> None:
        super().__init__()


class ChangedBelow(Changed):
    """Passes on what its base takes."""

    def __init__(self, own: int = 0, **kwargs) -> None:
        super().__init__(**kwargs)


class Unchanged(LightningModule):
    """As VisionTowerModule, which keeps its optimizer."""

    def __init__(self, optimizer: dict) -> None:
        super().__init__()


class ChangedData(LightningDataModule):
    """Takes the settings of reading by their new names."""

    def __init__(self, reading: dict, seed: int = 0) -> None:
        super().__init__()


def check(*arguments: str) -> None:
    check_renamed(config_files(arguments), flags(arguments))


MODEL, DATA = f"--model={HERE}.Changed", f"--data={HERE}.ChangedData"


@pytest.mark.parametrize(("old", "new"), KEYS.items())
@pytest.mark.parametrize("spelling", ["", "init_args."])
@pytest.mark.parametrize("below", ["", ".some.key"])
def test_a_flag_of_before_is_refused_with_the_new_key(old: str, new: str, spelling: str, below: str) -> None:
    section, _, name = old.partition(".")
    flag = f"--{section}.{spelling}{name}{below}=1"
    with pytest.raises(ConfigError, match=rf"^{old} is now {new}\b.*in {flag}"):
        check(MODEL, DATA, flag)


@pytest.mark.parametrize(("old", "new"), CALLBACK_KEYS.items())
def test_a_setting_of_the_monitor_is_refused_with_the_new_key(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{old} is now {new}\b"):
        check(MODEL, DATA, f"--{old}=1")


def test_all_old_keys_of_a_config_are_named_at_once_also_those_set_to_null(tmp_path: Path) -> None:
    config = tmp_path / "old.yaml"
    config.write_text(
        f"model: {{class_path: {HERE}.ChangedBelow, init_args: {{trainable: [adapter], lora: null, own: 1}}}}\n"
        f"data: {{class_path: {HERE}.ChangedData, init_args: {{batch_size: 8, seed: 1}}}}\n"
    )
    with pytest.raises(ConfigError) as refused:
        check(f"--config={config}")
    assert str(refused.value) == (
        "model.trainable is now model.learning.trainable; model.lora is now model.learning.lora; "
        f"data.batch_size is now data.reading.batch_size (in {config})."
    )


def test_claims_are_refused_with_what_a_judge_takes() -> None:
    judge = r"model.judge: \{class_path: hallucination.GrammarJudge, init_args: \{mention: ..., clause_end: ...\}\}"
    with pytest.raises(ConfigError, match=f"model.claims is now {judge}"):
        check(MODEL, "--model.claims.mention=red")


def test_a_class_that_keeps_a_setting_is_left_alone() -> None:
    check(f"--model={HERE}.Unchanged", "--model.optimizer.learning_rate=1", "--model.trainable=[]")
    check("--model=lightning_modules.VisionTowerModule", "--model.optimizer.learning_rate=1")
    check("--model=RewardModelModule", "--model.trainable=[adapter]", "--model.optimizer.learning_rate=1")


def test_a_class_that_cannot_be_imported_is_left_to_the_parser() -> None:
    check("--model=nowhere.Module", "--model.trainable=[]")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("algorithms.reward_threshold.TargetRate", "algorithms.calibration.TargetRate"),
        ("lightning_modules.GrammarJudge", "hallucination.GrammarJudge"),
        ("lightning_modules.fsdp2_strategy.FSDP2Strategy", "lightning_modules.FSDP2Strategy"),
        ("datamodules.shapes.ShapesFolder", "datamodules.ShapesFolder"),
    ],
)
def test_a_class_is_found_anywhere_in_a_config_or_a_flag(old: str, new: str, tmp_path: Path) -> None:
    config = tmp_path / "old.yaml"
    config.write_text(f"callbacks: {{mine: {{class_path: x.Y, init_args: {{many: [{{class_path: {old}}}]}}}}}}\n")
    for argument in (f"--config={config}", f"--callbacks.mine.strategy={old}", f'--a.b={{"class_path": "{old}"}}'):
        with pytest.raises(ConfigError, match=rf"^{old} is now {new} \(in "):
            check(argument)


def test_every_new_class_path_can_be_imported_and_no_old_one() -> None:
    for old, new in CLASSES.items():
        owner, _, name = new.rpartition(".")
        assert hasattr(import_module(owner), name) if name[0].isupper() else import_module(new), new
        owner, _, name = old.rpartition(".")
        # datamodules.shapes is a package today; what was in it is no longer found there.
        assert old == "datamodules.shapes" or not hasattr(import_module(owner), name), old
    assert not hasattr(import_module("datamodules.shapes"), "ShapesFolder")


def test_a_module_that_lies_in_a_folder_of_an_old_name_is_no_old_name() -> None:
    assert new_class("datamodules.shapes.folders.ShapesFolder") is None
    assert new_class("algorithms.calibration.TargetRate") is None


def test_a_config_that_was_moved_is_named_where_it_is_now() -> None:
    with pytest.raises(ConfigError, match=r"no_ssb.yaml is not there; .*: configs/ablations/replay/no_ssb.yaml\.$"):
        run(["fit", "--config=configs/tiny/grpo.yaml", "--config=configs/ablations/no_ssb.yaml"])
    # Three folders have a config of this name, so that none is the one.
    check("--config=configs/grpo.yaml")
