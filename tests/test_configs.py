"""Every file under configs/ is accepted by the parser, overlays on top of the config they are for."""

from pathlib import Path

import pytest

from cli.app import run

GRPO, MPO, MPO_ONLINE = "configs/tiny/grpo.yaml", "configs/tiny/mpo.yaml", "configs/tiny/overlays/mpo_online.yaml"
BIASED, CALIBRATED = "configs/tiny/overlays/grpo_biased.yaml", "configs/tiny/overlays/grpo_calibrated.yaml"
# What lies below an overlay; the others in ablations/ are for GRPO, and those in hardware/ for any config.
BELOW = {
    MPO_ONLINE: [MPO],
    "configs/tiny/overlays/mpo_biased.yaml": [MPO, MPO_ONLINE],
    "configs/tiny/overlays/mpo_calibrated.yaml": [MPO, MPO_ONLINE, "configs/tiny/overlays/mpo_biased.yaml"],
    "configs/tiny/overlays/hybrid.yaml": [GRPO],
    BIASED: [GRPO],
    CALIBRATED: [GRPO, BIASED],
    "configs/ablations/objective/sft.yaml": [MPO],
    "configs/ablations/loop/low_threshold.yaml": [MPO, MPO_ONLINE],
    "configs/ablations/reward/no_preference_reward.yaml": [GRPO, BIASED],
    "configs/ablations/loop/fixed_threshold.yaml": [GRPO, BIASED],
    "configs/ablations/loop/no_calibration.yaml": [GRPO, BIASED, CALIBRATED],
    "configs/ablations/loop/no_monitor.yaml": [GRPO, BIASED, CALIBRATED],
}
PREDICTS = ("pairs", "prompt_pool")


def commands() -> list[list[str]]:
    found: list[list[str]] = []
    for path in sorted(Path("configs").rglob("*.yaml")):
        name = str(path)
        below = BELOW.get(
            name, [GRPO] if "ablations" in path.parts or path.parent.name in ("engines", "hardware") else []
        )
        command = "predict" if path.stem in PREDICTS else "fit"
        found.append([command, *(f"--config={file}" for file in [*below, name])])
    return found


@pytest.mark.parametrize("below", ["configs/tiny/stages/adapter.yaml", MPO, "configs/r1v2/grpo.yaml"])
@pytest.mark.parametrize("overlay", ["cpu2", "fsdp2", "multi_node"])
def test_hardware_is_laid_over_any_config(below: str, overlay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(["fit", f"--config={below}", f"--config=configs/hardware/{overlay}.yaml", "--print_config"])
    assert stopped.value.code == 0
    assert "lightning_modules.FSDP2Strategy" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[-1].removeprefix("--config="))
def test_a_config_is_accepted(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run([*command, "--print_config"])
    assert stopped.value.code == 0
    assert "class_path" in capsys.readouterr().out
