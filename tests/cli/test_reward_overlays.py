from pathlib import Path

import yaml

from cli.given.reward_overlays import with_merged_parts
from cli.given.settings import config_files

BASE = {"accuracy": {"reward": {"class_path": "A", "init_args": {"x": 1}}, "weight": 1.0}, "format": {"weight": 0.2}}


def file(folder: Path, name: str, parts: dict | None) -> str:
    content: dict = {} if parts is None else {"model": {"init_args": {"reward": {"init_args": {"parts": parts}}}}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def merged(arguments: list[str]) -> dict:
    with with_merged_parts(arguments, config_files(arguments)) as given:
        (path,) = [argument for argument in given if argument not in arguments]
        content = yaml.safe_load(Path(path.removeprefix("--config=")).read_text())
        assert given.index(path) == max(place for place, argument in enumerate(given) if argument.endswith(".yaml"))
    return content["model"]["init_args"]["reward"]["init_args"]["parts"]


def test_an_overlay_changes_one_weight_and_leaves_the_other_parts(tmp_path: Path) -> None:
    paths = [file(tmp_path, "a", BASE), file(tmp_path, "b", {"format": {"weight": 0.0}})]
    parts = merged(["fit", "--config", paths[0], f"--config={paths[1]}", "--model.seed=1"])
    assert parts == {**BASE, "format": {"weight": 0.0}}


def test_another_class_takes_no_settings_over_and_null_takes_a_part_away(tmp_path: Path) -> None:
    above = {"accuracy": {"reward": {"class_path": "B"}}, "format": None}
    paths = [file(tmp_path, "a", BASE), file(tmp_path, "b", above)]
    assert merged([f"--config={path}" for path in paths]) == {
        "accuracy": {"reward": {"class_path": "B"}, "weight": 1.0}
    }


def test_with_one_file_of_parts_nothing_is_added(tmp_path: Path) -> None:
    arguments = ["fit", "--config", file(tmp_path, "a", BASE), "--config", file(tmp_path, "b", None), "--x=1"]
    with with_merged_parts(arguments, config_files(arguments)) as given:
        assert given == arguments
