"""What a config reads from and writes to is looked at before a model is built for minutes."""

from pathlib import Path

import pytest

from algorithms import ConfigError, DataError
from cli import app
from cli.app import planned, run
from tests.conftest import long

# Neither root nor anybody else can make a folder there.
NOWHERE = "/proc/nowhere/out"
GRPO, MPO, PAIRS = "configs/tiny/grpo.yaml", "configs/tiny/mpo.yaml", "configs/tiny/stages/reward_model.yaml"
FOLDER = "--data.source=datamodules.PromptFolder"
PREFERENCES = "--data.pairs=datamodules.PreferenceFolder"
WRONG = {
    "a root of drawn pictures": ("fit", GRPO, [f"--data.source.root={NOWHERE}"], "data.source.root is"),
    "a root of drawn pairs": ("fit", PAIRS, [f"--data.pairs.root={NOWHERE}"], "data.pairs.root is"),
    "reports": ("fit", GRPO, [f"--data.reading.report_folder={NOWHERE}"], "data.reading.report_folder is"),
    "an export": (
        "fit", GRPO, ["--callbacks.export=ExportPolicy", f"--callbacks.export.folder={NOWHERE}"],
        "callbacks.export.folder is",
    ),
    "predictions": (
        "predict", GRPO, ["--callbacks.predictions=PredictionWriter", f"--callbacks.predictions.path={NOWHERE}"],
        "callbacks.predictions.path is",
    ),
    "prompts that are not there": ("fit", GRPO, [FOLDER, "--data.source.path=no_data"], "data.source.path must be"),
    "a split that is not there": ("test", GRPO, [FOLDER, "--data.source.path=docs"], "no file for the split test"),
    "pairs that are not there": ("fit", MPO, [PREFERENCES, "--data.pairs.path=no_pairs"], "data.pairs.path must be"),
}  # fmt: skip


# The others are left to make test-long.
QUICK = ("a root of drawn pictures", "an export", "prompts that are not there")


@pytest.mark.parametrize(
    ("command", "config", "flags", "words"),
    [pytest.param(*case, id=name) if name in QUICK else long(*case, name=name) for name, case in WRONG.items()],
)
def test_a_wrong_place_is_told_before_anything_is_built(
    command: str, config: str, flags: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def building(*_: object) -> bool:
        raise AssertionError("a model was built first")

    monkeypatch.setattr(app, "missing", lambda: {tmp_path / "to_build": ("", 0)})
    monkeypatch.setattr(app, "build_missing", building)
    with pytest.raises((ConfigError, DataError), match=words):
        run([command, f"--config={config}", *flags, f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false"])


def test_what_is_about_to_be_built_is_not_missed(tmp_path: Path) -> None:
    # Its pairs lie in a folder that is built on first use.
    planned(["fit", "--config=configs/tiny/mpo.yaml", f"--trainer.logger.save_dir={tmp_path}"])
