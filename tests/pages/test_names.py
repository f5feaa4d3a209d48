"""Names on the pages: keys of configs, fields of TRL, arguments of loggers."""

import ast
import inspect
import re
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch import loggers as lightning_loggers
from transformers import TrainingArguments

from cli.given.settings import config_files
from cli.keys.chosen import known_keys, whole
from tests.pages.blocks import PAGES, blocks
from tests.test_metrics_page import documented

GRPO, MPO = "tiny/grpo", "tiny/mpo"
STACKS = (
    (GRPO, "tiny/overlays/hybrid"), (MPO,), (MPO, "tiny/overlays/mpo_online"), (GRPO, "engines/vllm_server"),
    (GRPO, "ablations/replay/offline_ssb"), ("qwen2_5_vl/grpo", "engines/vllm"),
    ("real/tower",),
)  # fmt: skip
# Names that TRL's pages have for what is logged; told from fields by their place.
FIELD_PAGES = {"GRPOConfig": ("GRPOConfig", "vLLM"), "DPOConfig": ("DPOConfig",)}


@cache
def keys() -> frozenset[str]:
    """Every key that one of the configs may have."""
    found: set[str] = set()
    for stack in STACKS:
        files = config_files(["fit", *(f"--config=configs/{name}.yaml" for name in stack)])
        assert not any(file.is_missing for file in files)
        found |= {key for key, _ in known_keys("fit", whole(files))}
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_key_that_a_page_names_is_a_key_of_a_config(page: Path) -> None:
    named = set(re.findall(r"`((?:model|data|trainer)\.[a-z_.]+)(?:[:=][^`]*)?`", page.read_text()))
    # init_args may be written or left out; the last letters of a section may be a full stop.
    named = {key.replace(".init_args", "").rstrip(".") for key in named}
    # Of every class that can be chosen.
    assert sorted(key for key in named - keys() if not key.endswith(".class_path")) == []


def test_a_key_that_is_not_there_would_be_found() -> None:
    assert len(keys()) > 150
    assert "model.grpo.clip" not in keys()


def section(title: str) -> str:
    """A section of the page for users of TRL, without the sections below it."""
    text = Path("docs/from_trl.md").read_text()
    (found,) = re.findall(rf"^#+ {title}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    return found


def named_in(title: str) -> set[str]:
    """The names in the first column of a section's table."""
    rows = re.findall(r"^\| (`[^|]*) \|", section(title), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def fields_of_trl(name: str) -> set[str]:
    """The fields that a config of TRL adds to those of transformers; read from its source, which imports much."""
    spec = find_spec("trl")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "trainer")
    files = (f"{name.removesuffix('Config').lower()}_config.py", "base_config.py")
    classes = [
        node for file in files for node in ast.parse((folder / file).read_text()).body if isinstance(node, ast.ClassDef)
    ]
    found = {
        node.target.id
        for each in classes
        for node in each.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return found - {field.name for field in fields(TrainingArguments)}


@pytest.mark.parametrize("name", ["GRPOConfig", "DPOConfig"])
def test_every_field_of_trl_has_its_place_on_the_page_and_no_other_is_named(name: str) -> None:
    named = set[str]().union(*(named_in(title) for title in FIELD_PAGES[name]))
    assert len(named) > 20
    assert sorted(fields_of_trl(name) - named) == []
    assert sorted(named - fields_of_trl(name)) == []


def test_fields_of_training_arguments_are_called_so() -> None:
    named = named_in("Fields of TrainingArguments")
    assert len(named) > 15
    assert sorted(named - {field.name for field in fields(TrainingArguments)}) == []


def test_metrics_on_the_pages_are_metrics_that_are_logged() -> None:
    prefixes = "val|train|rollout|buffer|engine|hallucination|calibration|completions|run"
    wrong: list[tuple[str, str]] = []
    for page in PAGES:
        # TRL's own names stand in the first column of its table.
        text = (
            re.sub(r"^\| `[^|]*\|", "", page.read_text(), flags=re.MULTILINE)
            if "trl" in page.name
            else page.read_text()
        )
        for name in re.findall(rf"`((?:{prefixes})/[a-z_]+\w*)`", text):
            # Capitals stand for any name.
            if (
                name != "rollout/short"
                and name.islower()
                and not any(pattern.fullmatch(name) for pattern in documented().values())
            ):
                wrong.append((str(page), name))
    assert wrong == []


def test_arguments_of_the_trainer_are_called_so() -> None:
    known = inspect.signature(Trainer).parameters
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", Path("docs/from_lightning.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    others = {"load_from_checkpoint", "save_hyperparameters"}
    assert len(named & known.keys()) > 10
    assert sorted(named - known.keys() - others) == []


def test_the_loggers_of_the_page_take_the_arguments_that_it_gives_them() -> None:
    seen: set[str] = set()
    for block in blocks(Path("docs/tracking.md"), "yaml"):
        for logger in yaml.safe_load(block)["trainer"]["logger"]:
            name = logger["class_path"].removeprefix("lightning.pytorch.loggers.")
            inspect.signature(getattr(lightning_loggers, name)).bind(**logger["init_args"])
            parameters = inspect.signature(getattr(lightning_loggers, name)).parameters
            # **kwargs would take any name.
            assert logger["init_args"].keys() <= parameters.keys()
            seen.add(name)
    assert seen == {"TensorBoardLogger", "CSVLogger", "WandbLogger", "MLFlowLogger"}
