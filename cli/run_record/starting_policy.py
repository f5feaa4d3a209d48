"""Digests of the weights that a run starts from, and of the weights from which their own training started.

    {"path": "runs/built/mpo-1f2e3d4c5b", "weights": "9c1d...", "first_weights": "0a7b..."}

Runs of one seed can be compared seed by seed when ``first_weights`` is equal, also when one of them starts from the
policy that MPO has trained. An unknown digest is null, and then the two runs count as neither equal nor different.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import yaml

from cli.given.settings import value_at
from cli.run_record.folders import read_quietly
from run_records import FILE_NAME, RunRecord

StartingPolicy = Mapping[str, str | None]
POLICY_PATH = "model.policy.path"
_CONFIG = "config.yaml"
_PIECE = 16 * 2**20  # bytes; a file of up to three pieces is read whole, of a larger one the ends and the middle


def starting_policy(config: str, builds: Path) -> StartingPolicy | None:
    """Return the digests of the policy that a run starts from; None when its config names no folder of a policy.

    Args:
        config: the resolved config of the run as YAML.
        builds: folder with the records of models that were built on first use.
    """
    path = value_at(yaml.safe_load(config), POLICY_PATH)
    return policy_in(path, builds) if isinstance(path, str) else None


def policy_in(path: str, builds: Path) -> StartingPolicy:
    """Return the digests of the policy in a folder.

    Args:
        path: the folder as a config names it; the digests of a hub's name are unknown.
        builds: folder with the records of models that were built on first use.
    """
    weights = weights_digest(Path(path).expanduser())
    return {"path": path, "weights": weights, "first_weights": _first(path, weights, builds)}


def weights_digest(folder: Path) -> str | None:
    """Return a digest of the safetensors files of a model; None without such files.

    Args:
        folder: folder in Hugging Face format.
    """
    files = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\0".encode())
        with file.open("rb") as opened:
            for start in (0, max(0, (size - _PIECE) // 2), max(0, size - _PIECE)):
                opened.seek(start)
                digest.update(opened.read(_PIECE))
    return digest.hexdigest()[:16] if files else None


def _first(path: str, weights: str | None, builds: Path) -> str | None:
    """Return the digest of the policy from which the first training of a chain started, if records contain it."""
    trained = _trained_by(path, builds)
    if trained is None:
        return weights
    config = trained.folder / _CONFIG
    if config.is_file() and value_at(yaml.safe_load(config.read_text(encoding="utf-8")), POLICY_PATH) is None:
        # A policy that was joined from parts, such as the aligned policy, is itself the first policy.
        return weights
    return (trained.starts_from or {}).get("first_weights")


def _trained_by(path: str, builds: Path) -> RunRecord | None:
    """Return the run whose export is this folder: a build of a model on first use, or a run of the user."""
    if (Path(path).expanduser().parent / FILE_NAME).is_file():
        return read_quietly(Path(path).expanduser().parent)
    records = (read_quietly(file.parent) for file in builds.glob(f"*/{FILE_NAME}"))
    written = [
        record
        for record in records
        if record is not None and any(argument.endswith(f".folder={path}") for argument in record.arguments)
    ]
    return max(written, key=lambda record: record.attempts[-1].started, default=None)
