"""A class that a flag or an overlay puts in the place of another one takes none of its settings over."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from callbacks import CompletionsPage
from cli.app import run
from cli.given.settings import merged, nested, read_config, value_at
from datamodules import ShapesFolder
from rewards import Squash
from rollouts import TransformersEngine

TINY = "configs/tiny"
GRPO, MPO = [f"{TINY}/grpo.yaml"], [f"{TINY}/mpo.yaml"]
HERE = "tests.cli.test_swapped_classes"


class Engine(TransformersEngine):
    def __init__(self, max_rows: int = 7) -> None:
        super().__init__(max_rows)


class World(ShapesFolder):
    def __init__(self, num_train: int = 5, seed: int = 9) -> None:
        super().__init__(num_train=num_train, seed=seed)


class Page(CompletionsPage):
    def __init__(self, every_n_rollouts: int = 3) -> None:
        super().__init__(every_n_rollouts=every_n_rollouts)


class Narrow(Squash):
    def __init__(self, width: float = 9.0) -> None:
        super().__init__(0.0, width)


# Configs, key, new class, what it cannot do without, and a setting that both classes have: its own default.
SWAPS = {
    "strategy": (
        [*GRPO, f"{TINY}/overlays/grpo_biased.yaml", f"{TINY}/overlays/grpo_calibrated.yaml"],
        "callbacks.calibrator.strategy", "algorithms.calibration.BackOff",
        {"step": 0.1, "bounds": {"low": 0.0, "high": 1.0}}, {"recovery": 0.1},
    ),
    "engine": (GRPO, "model.engine", f"{HERE}.Engine", {}, {"max_rows": 7}),
    "source": (GRPO, "data.source", f"{HERE}.World", {}, {"num_train": 5, "seed": 9}),
    "callback": (GRPO, "callbacks.completions", f"{HERE}.Page", {}, {"every_n_rollouts": 3}),
    "scaling": (
        [*GRPO, f"{TINY}/overlays/hybrid.yaml"], "model.reward.parts.preference.scaling", f"{HERE}.Narrow", {},
        {"width": 9.0},
    ),
    "data": (
        MPO, "data", "datamodules.OnlinePreferenceDataModule", {"source": {"class_path": f"{HERE}.World"}},
        {"selection.threshold": None, "selection.max_per_prompt": 15},
    ),
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], files: list[str], *flags: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        run(["fit", *(f"--config={file}" for file in files), *flags, "--print_config"])
    assert stopped.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def in_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def with_init_args(key: str) -> str:
    """A key as config files write it."""
    head = 2 if key.startswith("callbacks") else 1
    names = key.split(".")
    rest = [
        part for name in names[head:] for part in (["init_args", name] if name in ("strategy", "parts") else [name])
    ]
    first = [] if not names[head:] or rest[0] == "init_args" else ["init_args"]
    return ".".join([*names[:head], *first, *rest])


@pytest.mark.parametrize(
    ("swap", "by"),
    [
        *(("strategy", by) for by in ("flag", "flag with settings", "overlay")), ("engine", "flag"),
        ("source", "overlay"), ("callback", "flag"), ("callback", "overlay"), ("scaling", "flag"), ("data", "flag"),
    ],
)  # fmt: skip
def test_another_class_starts_from_its_own_defaults(
    swap: str, by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, key, path, needed, own = SWAPS[swap]
    new = {"class_path": path, "init_args": needed}
    if by == "overlay":
        (tmp_path / "swap.yaml").write_text(yaml.safe_dump(nested(with_init_args(key), new)))
        config = shown(capsys, [*files, str(tmp_path / "swap.yaml")])
    elif by == "flag":
        settings = [f"--{key}.{name}={in_yaml(value)}" for name, value in needed.items()]
        config = shown(capsys, files, f"--{key}={path}", *settings)
    else:
        config = shown(capsys, files, f"--{with_init_args(key)}={in_yaml(new)}")
    assert value_at(config, f"{key}.class_path") == path
    assert {name: value_at(config, f"{key}.{name}") for name in own} == own
    # Both classes have the setting, and the old one's differs: there is something to take over.
    old = merged(read_config(file) for file in files)
    assert all(value_at(old, f"{key}.{name}") not in (value, None) for name, value in own.items())


def test_the_same_class_named_again_keeps_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "same.yaml").write_text("model: {init_args: {engine: {class_path: TransformersEngine}}}\n")
    config = shown(capsys, [*GRPO, str(tmp_path / "same.yaml")], "--data.source=datamodules.ShapesFolder")
    assert value_at(config, "model.engine.max_rows") == 512
    assert value_at(config, "data.source.num_train") == 2048
