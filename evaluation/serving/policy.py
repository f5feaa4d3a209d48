"""Turns the policy that a user names (an export, a run's folder, or a checkpoint) into a folder for vLLM."""

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

from algorithms import ConfigError
from storage import newest_readable

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]


def exported_policy(named: str, exports: Path) -> Path:
    """Return the exported folder of a policy; a run or a checkpoint is exported first.

    Args:
        named: a folder in Hugging Face format, the folder of a run, or a checkpoint in one.
        exports: folder for exports.

    Raises:
        ConfigError: the name is none of these, or the export fails.
    """
    path = Path(named).expanduser()
    if not path.exists():
        raise ConfigError(f"policy: there is no {path.absolute()}.")
    if is_exported(path):
        return path
    # The export of a finished run is preferred to its checkpoints, because it needs no conversion.
    if is_exported(path / "export"):
        return path / "export"
    run = _run_folder(path)
    if run is None:
        raise ConfigError(
            f"policy {path} is neither a folder in Hugging Face format (config.json and weights), nor the folder of a "
            "run (config.yaml), nor a checkpoint in one."
        )
    # The user named either a checkpoint, or a run without an export, of which the newest checkpoint is taken.
    checkpoint = path if path != run else newest_readable((run / "checkpoints").glob("*.ckpt"))
    if checkpoint is None:
        raise ConfigError(f"policy {path} is a run without an export and without a checkpoint in {run}/checkpoints.")
    return _export(run, checkpoint, exports)


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds a model in Hugging Face format."""
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _run_folder(path: Path) -> Path | None:
    """Return the run's folder that a path is or lies in; None when there is none."""
    return next((folder for folder in (path, *path.absolute().parents[:3]) if (folder / "config.yaml").is_file()), None)


def _export(run: Path, checkpoint: Path, exports: Path) -> Path:
    state = checkpoint.stat()
    digest = hashlib.sha256(f"{checkpoint.absolute()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:10]
    folder = exports / f"{run.name}-{checkpoint.stem}-{digest}"
    if is_exported(folder):
        return folder
    logger.info("exporting %s to %s", checkpoint, folder)
    command = [
        sys.executable, str(ROOT / "train.py"), "validate", "--config", str(run / "config.yaml"),
        "--ckpt_path", str(checkpoint), "--callbacks.export=callbacks.ExportPolicy",
        f"--callbacks.export.folder={folder.absolute()}", "--callbacks.export.after=validate",
        "--trainer.limit_val_batches=0",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not is_exported(folder):
        raise ConfigError(f"policy: exporting {checkpoint} failed:\n{done.stderr[-2000:]}\nThe command was {command}.")
    return folder
