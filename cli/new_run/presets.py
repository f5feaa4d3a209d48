"""Recognises public data sets whose column map is in configs/datasets."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from cli.given.places import PROJECT
from datamodules.rows.columns.lookup import matching

FOLDER = "configs/datasets"
# Common names of columns, by which no data set can be recognised.
_COMMON = {"question", "problem", "prompt", "image", "images", "answer", "choices", "options", "id", "solution"}


def preset_of(names: Sequence[str], path: str, kind: str) -> tuple[str, dict[str, Any]] | None:
    """Return the preset of a data set, as its path in the project, and its column map; None when none fits.

    Args:
        names: the columns of the data.
        path: folder of the data as typed; when all columns are common, its name must be that of the data set.
        kind: ``source`` for prompts, ``pairs`` for pairs.
    """
    folder = _plain(Path(path).expanduser().absolute().name)
    for file, columns in _presets(kind):
        needed = {str(name) for key, value in columns.items() if key in _COLUMN_KEYS for name in _as_list(value)}
        has_all = all(matching(names, [name.partition(".")[0]]) for name in needed)
        is_named = _plain(file.stem) in folder
        if has_all and needed and (is_named or not {name.partition(".")[0] for name in needed} <= _COMMON):
            return f"{FOLDER}/{file.name}", columns
    return None


_COLUMN_KEYS = ("question", "images", "answer", "choices", "id", "unit", "decimals", "responses", "ranking", "unused")


def _presets(kind: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted((PROJECT / FOLDER).glob("*.yaml")):
        source = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]["init_args"].get(kind, {})
        settings = source.get("init_args", {})
        # Other presets have code that converts their files.
        is_plain = source.get("class_path") in ("datamodules.PromptFolder", "datamodules.PreferenceFolder")
        columns = settings.get("columns", {})
        if is_plain and not {"join", "records", "fixed_question"} & columns.keys():
            yield file, columns


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
