"""Settings that could not be written at the end of a run are found before the weights are read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algorithms import ConfigError
from models import Policy, PretrainedPolicy

REFUSED = {
    "a temperature without sampling": {"do_sample": False, "temperature": 0.9},
    "a nucleus without a word about sampling": {"top_p": 0.5},
    "a beam setting without beams": {"length_penalty": 2.0},
    "a padding token that is none": {"pad_token_id": -1},
}


@pytest.fixture
def folder(policy: Policy, tmp_path: Path) -> Path:
    policy.model.save_pretrained(tmp_path)
    policy.processor.save_pretrained(tmp_path)
    # What is refused below is refused without them.
    (tmp_path / "model.safetensors").rename(tmp_path / "weights")
    return tmp_path


@pytest.mark.parametrize("load", [PretrainedPolicy.build, PretrainedPolicy.skeleton], ids=["whole", "for sharding"])
@pytest.mark.parametrize("settings", REFUSED.values(), ids=REFUSED)
def test_a_generation_config_that_no_export_could_write_is_refused_with_its_reason(
    folder: Path, settings: dict[str, Any], load: Callable[[PretrainedPolicy], Policy]
) -> None:
    (folder / "generation_config.json").write_text(json.dumps(settings))
    key = next(name for name in settings if name != "do_sample")
    with pytest.raises(ConfigError, match=rf"whose generation_config.json cannot be saved again, .*`{key}`") as refused:
        load(PretrainedPolicy(str(folder)))
    assert str(refused.value).startswith(f"model.policy.path is '{folder}'")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("settings", [{"do_sample": True, "temperature": 0.9}, {"eos_token_id": [2, 3]}, None], ids=str)
def test_one_that_can_be_written_is_loaded_and_written(folder: Path, settings: dict[str, Any] | None) -> None:
    file = folder / "generation_config.json"
    file.unlink(missing_ok=True)
    if settings is not None:
        file.write_text(json.dumps(settings))
    (folder / "weights").rename(folder / "model.safetensors")
    PretrainedPolicy(str(folder)).build().model.save_pretrained(folder / "export")
