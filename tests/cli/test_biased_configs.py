"""The test bench of reward hacking differs from the honest runs in the fault alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.app import main

TINY = Path("configs/tiny")


def flat(nested: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(nested, dict):
        return {prefix: nested}
    return {key: value for name, part in nested.items() for key, value in flat(part, f"{prefix}.{name}").items()}


def config(name: str) -> dict[str, Any]:
    return yaml.safe_load(next(TINY.rglob(name)).read_text())


def test_the_biased_reward_model_differs_from_the_honest_one_in_its_pairs_only() -> None:
    honest, biased = flat(config("reward_model.yaml")), flat(config("reward_model_biased.yaml"))
    different = {key.rsplit(".", 1)[1] for key in honest | biased if honest.get(key) != biased.get(key)}
    assert different == {"detail_bias", "broken_share"}


def test_the_overlay_adds_one_part_to_the_reward(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", f"--config={TINY}/grpo.yaml", f"--config={TINY}/overlays/grpo_biased.yaml", "--print_config"])
    assert stopped.value.code == 0
    parts = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["reward"]["init_args"]["parts"]
    assert list(parts) == ["accuracy", "format", "preference"]
    rules = config("grpo.yaml")["model"]["init_args"]["reward"]["init_args"]["parts"]
    assert {name: parts[name]["weight"] for name in rules} == {name: rule["weight"] for name, rule in rules.items()}
    path = parts["preference"]["reward"]["init_args"]["scorer"]["init_args"]["path"]
    assert Path(path).name.startswith("reward_model_biased-")
