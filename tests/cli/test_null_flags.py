"""A nested setting is set to null by a flag, and its neighbours stay as they were."""

import pytest
import yaml

from cli.app import run
from cli.given.null_flags import in_dictionaries


def config(capsys: pytest.CaptureFixture[str], *flags: str) -> dict:
    with pytest.raises(SystemExit) as stopped:
        run(["fit", "--config=configs/tiny/grpo.yaml", *flags, "--print_config"])
    assert stopped.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("spelling", ["", "init_args."])
def test_null_switches_a_nested_setting_off(spelling: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = (f"--model.{spelling}grpo.dual_clip=3.0", f"--model.{spelling}grpo.clip_high=0.3")
    grpo = config(capsys, *given, f"--model.{spelling}grpo.dual_clip=null")["model"]["init_args"]["grpo"]
    assert (grpo["dual_clip"], grpo["clip_high"], grpo["clip_low"]) == (None, 0.3, 0.2)


def test_null_keeps_the_other_settings_of_the_config_file(capsys: pytest.CaptureFixture[str]) -> None:
    shown = config(capsys, "--model.learning.lora=null", "--data.reading.max_prompt_tokens=null")
    assert shown["model"]["init_args"]["learning"]["trainable"] == ["adapter", "language_model"]
    assert shown["data"]["init_args"]["reading"]["max_prompt_tokens"] is None


@pytest.mark.parametrize(
    "flag",
    ["--model.judge=null", "--model.init_args.judge=null", "--callbacks.completions=null", "--ckpt_path=null",
     "--trainer.logger=null", "--model.reward.init_args.parts.format=null", "--model.grpo.dual_clip=3.0"],
)  # fmt: skip
def test_other_flags_stay_as_they_are(flag: str) -> None:
    assert in_dictionaries([flag]) == [flag]
