"""Models that this project builds itself, on first use: ``path: ${built_by:configs/tiny/stages/adapter.yaml,0}``.

The interpolation only computes a folder name: the config's file name, and a digest of its text, the seed,
the sources that define the world and the model, and the same of every config it is built from in turn.
The folder is made by running that config, once, before anything is instantiated: ``predict`` for a config
with a callback ``pairs`` or ``pool``, which write preference pairs or pass rates, else ``fit``, whose callback
``export`` writes a model.
"""

import fcntl
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from algorithms import ConfigError

BUILT_ROOT = Path("runs/built")
_REFERENCE = re.compile(r"\$\{built_by:([^,}\s]+)")
_SOURCES = (
    "models/assembly/tiny.py", "models/assembly/llava.py",
    "datamodules/shapes/folders.py", "datamodules/shapes/language.py", "datamodules/shapes/scene.py",
)  # fmt: skip
# Matter to those configs only that name the class.
_SOURCES_OF = {
    "ShapesPairs": ("datamodules/shapes/pairs.py",),
    "PairWriter": ("algorithms/preferences/pairs.py", "rollouts/dropout_ntp.py", "rewards/rules.py"),
}
_PROJECT = Path(__file__).resolve().parent.parent

_wanted: dict[Path, tuple[str, int]] = {}


def register() -> None:
    """Make ``${built_by:CONFIG,SEED}`` known to config files, and forget what a command before asked for."""
    _wanted.clear()
    OmegaConf.register_resolver("built_by", _resolve, replace=True)


def built_folder(config: str, seed: int) -> Path:
    """Return the folder in which the result of a config and a seed is kept."""
    return BUILT_ROOT / f"{Path(config).stem}-{_digest(config, seed)}"


def build_missing(command: Callable[[Sequence[str]], object]) -> bool:
    """Build the folders that the last parsed config refers to and that are not there yet.

    Args:
        command: runs the command line with these arguments.

    Returns:
        Whether anything was built.
    """
    wanted = dict(_wanted)
    _wanted.clear()
    missing = {folder: source for folder, source in wanted.items() if not folder.is_dir()}
    for folder, (config, seed) in missing.items():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Other ranks and other runs wait here, and then find the folder.
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                what, callback = _maker(config)
                flags = ["--seed_everything", str(seed), f"--callbacks.{callback}.folder={folder}"]
                command([what, "--config", config, *flags])
    return bool(missing)


def _resolve(config: str, seed: int = 0) -> str:
    folder = built_folder(config, int(seed))
    _wanted[folder] = (config, int(seed))
    return str(folder)


def _maker(config: str) -> tuple[str, str]:
    """Return the command that makes a config's result, and the callback that writes it."""
    callbacks = yaml.safe_load(Path(config).read_text()).get("callbacks") or {}
    written = next((name for name in ("pairs", "pool") if name in callbacks), None)
    return ("predict", written) if written else ("fit", "export")


def _digest(config: str, seed: int) -> str:
    path = Path(config)
    if not path.is_file():
        raise ConfigError(f"${{built_by:{config}}} names a config that is not there: {path.absolute()}.")
    text = path.read_text()
    parts = [text, str(seed)]
    parts += [_digest(upstream, seed) for upstream in _REFERENCE.findall(text)]
    sources = {*_SOURCES, *(source for name, own in _SOURCES_OF.items() if name in text for source in own)}
    parts += [(_PROJECT / source).read_text() for source in sorted(sources)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
