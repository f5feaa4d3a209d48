"""Every file under configs/ is accepted by the parser, overlays on top of the config they are for."""

from pathlib import Path

import pytest

from cli.app import run

OVERLAYS = {
    "configs/tiny/mpo_online.yaml": "configs/tiny/mpo.yaml",
    "configs/tiny/hybrid.yaml": "configs/tiny/grpo.yaml",
    "configs/tiny/grpo_biased.yaml": "configs/tiny/grpo.yaml",
    "configs/ablations/sft.yaml": "configs/tiny/mpo.yaml",
}
ON_PREFERENCE = ("no_preference_reward",)
PREDICTS = ("pairs", "prompt_pool")


def commands() -> list[list[str]]:
    found: list[list[str]] = []
    for path in sorted(Path("configs").rglob("*.yaml")):
        name = str(path)
        base = OVERLAYS.get(name, "configs/tiny/grpo.yaml" if path.parent.name == "ablations" else name)
        files = [base, *(["configs/tiny/hybrid.yaml"] if path.stem in ON_PREFERENCE else []), name]
        command = "predict" if path.stem in PREDICTS else "fit"
        found.append([command, *(f"--config={file}" for file in dict.fromkeys(files))])
    return found


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[-1].removeprefix("--config="))
def test_a_config_is_accepted(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run([*command, "--print_config"])
    assert stopped.value.code == 0
    assert "class_path" in capsys.readouterr().out
