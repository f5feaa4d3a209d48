"""Which photographs the tests of the real chain use, and a line about that at the end of the report."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from datamodules.photographs.collection import FASHION_FOLDER, GET_FASHION, KINDS, CollectionName
from datamodules.photographs.reasoning import claim_grammar
from experiments.real import measures
from experiments.real.inputs import check_inputs, collection_here
from experiments.real.stages import STAGES

_TOLD = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def told(pytestconfig: pytest.Config) -> list[str]:
    """Lines that the end of the report shows, whether a test passes or not."""
    return pytestconfig.stash.setdefault(_TOLD, [])


@pytest.fixture(scope="session")
def collection(told: list[str]) -> CollectionName:
    """Fashion-MNIST; where it is not installed, the digits of scikit-learn."""
    name = collection_here()
    check_inputs(name)
    digits = f"handwritten digits of scikit-learn, because there is no {FASHION_FOLDER}: {GET_FASHION}"
    told.append(f"photographs: {f'Fashion-MNIST in {FASHION_FOLDER}' if name == 'fashion' else digits}")
    return name


@pytest.fixture
def measured_collection(collection: CollectionName, monkeypatch: pytest.MonkeyPatch) -> CollectionName:
    """The same, which the chain's measures use too."""
    for source in ("MosaicFolder", "MosaicDemonstrations"):
        monkeypatch.setattr(measures, source, partial(getattr(measures, source), collection=collection))
    monkeypatch.setattr(measures, "CLAIM_GRAMMAR", claim_grammar(KINDS[collection]))
    return collection


def collection_flags(stage: str, collection: CollectionName) -> list[str]:
    """Return the flags with which a stage of the chain is about a collection, whose things its config names."""
    if collection == "fashion":
        return []
    names = {fashion.name: kind.name for fashion, kind in zip(KINDS["fashion"], KINDS[collection], strict=True)}

    def renamed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {key: renamed(below, key) for key, below in value.items()}
        if isinstance(value, list):
            return [renamed(each) for each in value]
        return claim_grammar(KINDS[collection]).mention if key == "mention" else names.get(value, value)

    settings = yaml.safe_load(Path(STAGES[stage].configs[0]).read_text())["model"]["init_args"]
    changed = {key: renamed(value) for key, value in settings.items() if renamed(value) != value}
    data = "pairs" if stage == "reward_model" else "source"
    return [
        f"--data.init_args.{data}.init_args.collection={collection}",
        *(f"--model.init_args.{key}={json.dumps(value)}" for key, value in changed.items()),
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_TOLD, []):
        terminalreporter.write_line(line)
