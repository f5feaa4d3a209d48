"""Models that this project builds itself, on first use: ``path: ${built_by:configs/tiny/stages/adapter.yaml,0}``.

The interpolation only computes a folder name: the config's file name, and a digest. The digest covers the config's
text, the seed, the project's source files behind the classes that the config names, the versions of the libraries that
these files import, and the same for every config that it is built from. The folder is made by running that config,
once, before anything is instantiated: ``predict`` for a config with a callback ``pairs`` or ``pool``, which write
preference pairs or pass rates, else ``fit``, whose callback ``export`` writes a model.
"""

import fcntl
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TextIO

from omegaconf import OmegaConf

from algorithms import ConfigError
from cli.build_notice import in_words, notice, say
from cli.given.places import config_path, writes_to
from cli.given.renamed import moved_config
from cli.given.settings import read_config, texts
from cli.sources import SourceTree
from storage import check_writable

BUILT_ROOT = Path("runs/built")
_REFERENCE = re.compile(r"\$\{built_by:([^,}\s]+)")
# An import path, or a class's short name.
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+|[A-Z]\w*")
_SOURCES = SourceTree(Path(__file__).resolve().parent.parent)

# Folder -> config and seed; filled while the parser resolves interpolations.
_wanted: dict[Path, tuple[str, int]] = {}


def register() -> None:
    """Make ``${built_by:CONFIG,SEED}`` known to config files, and forget the folders of earlier commands."""
    _wanted.clear()
    OmegaConf.register_resolver("built_by", _resolve, replace=True)


def built_folder(config: str, seed: int, sources: SourceTree = _SOURCES) -> Path:
    """Return the folder for the result of a config and a seed.

    Args:
        config: path of the config.
        seed: seed of the build.
        sources: the source files whose text is part of the folder's name.

    Raises:
        ConfigError: when the config, or a config that it is built from, does not exist.
    """
    return BUILT_ROOT / f"{Path(config).stem}-{_digest(config, seed, sources)}"


def referred_folder(value: str, seed: int) -> Path | None:
    """Return the folder that ``${built_by:CONFIG,SEED}`` stands for; None for a value without such a reference.

    Args:
        value: value of a setting, as the config writes it.
        seed: seed of the run, for a reference whose seed is not a number.
    """
    if (found := _REFERENCE.match(value)) is None:
        return None
    given = re.match(r",\s*(\d+)", value[found.end() :])
    return built_folder(found[1], int(given[1]) if given else seed)


def missing() -> dict[Path, tuple[str, int]]:
    """Return the folders that the last parsed config refers to and that do not exist yet, with config and seed."""
    return {folder: source for folder, source in _wanted.items() if not folder.is_dir()}


def build_missing(command: Callable[[Sequence[str]], object]) -> bool:
    """Build the folders that the last parsed config refers to and that do not exist yet.

    Args:
        command: function that runs a command line, given as its arguments.

    Returns:
        Whether anything was built.
    """
    wanted = missing()
    # The commands below parse further configs, which fill this table again.
    _wanted.clear()
    for config, seed in wanted.values():
        build(config, seed, command)
    return bool(wanted)


def build(config: str, seed: int, command: Callable[[Sequence[str]], object]) -> Path:
    """Return the folder for the result of a config and a seed; build it if it does not exist.

    Args:
        config: path of the config.
        seed: seed of the build.
        command: function that runs a command line, given as its arguments.

    Raises:
        ConfigError: when the config, or a config that it is built from, does not exist, or the folder cannot be written
            to.
    """
    config, folder = config_path(config), built_folder(config, seed)
    with writes_to("the folder of models that are built on first use", folder.parent):
        check_writable(folder.parent)
    # Other ranks and other runs block here until the folder exists.
    with folder.with_suffix(".lock").open("w") as lock:
        _wait_for(lock, folder)
        if not folder.is_dir():
            _build(command, config, seed, folder)
    return folder


def _wait_for(lock: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another process builds {folder}: waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _build(command: Callable[[Sequence[str]], object], config: str, seed: int, folder: Path) -> None:
    say(notice(Path(config), seed, folder, first=_missing_parts(config, seed)))
    subcommand, callback = _maker(config)
    started = time.monotonic()
    command([subcommand, "--config", config, f"--seed_everything={seed}", f"--callbacks.{callback}.folder={folder}"])
    say(f"built {folder} in {in_words(time.monotonic() - started)}")


def _missing_parts(config: str, seed: int) -> list[str]:
    """Return the names of the missing models that a config is built from."""
    upstream = dict.fromkeys(_REFERENCE.findall(Path(config).read_text(encoding="utf-8")))
    return [Path(each).stem for each in upstream if not built_folder(each, seed).is_dir()]


def _resolve(config: str, seed: int = 0) -> str:
    folder = built_folder(config, int(seed))
    _wanted[folder] = (config_path(config), int(seed))
    return str(folder)


def _maker(config: str) -> tuple[str, str]:
    """Return the subcommand that makes the result of a config, and the callback that writes the result."""
    callbacks = read_config(config).content.get("callbacks") or {}
    writer = next((name for name in ("pairs", "pool") if name in callbacks), None)
    return ("predict", writer) if writer else ("fit", "export")


def _digest(config: str, seed: int, sources: SourceTree) -> str:
    path = Path(config_path(config))
    if not path.is_file():
        moved = moved_config(config)
        raise ConfigError(
            f"${{built_by:{config}}} names a config that is not there: {path.absolute()}"
            f"{f'; one of this name is {moved}' if moved else ''}."
        )
    text = path.read_text(encoding="utf-8")
    names = {value for value in texts(read_config(str(path)).content) if _CLASS.fullmatch(value)}
    # Other versions of libraries may give other weights from the same sources.
    libraries = [f"{library} {_version(library)}" for library in sorted(sources.libraries(names))]
    digest = hashlib.sha256("\0".join([text, str(seed), *libraries]).encode())
    # Searches the text and not the parsed settings, because a reference may be part of a longer value.
    for upstream in _REFERENCE.findall(text):
        digest.update(_digest(upstream, seed, sources).encode())
    digest.update(sources.digest(frozenset(names)).encode())
    return digest.hexdigest()[:10]


def _version(module: str) -> str:
    """Return the version of the package that a module belongs to; empty when it is not installed."""
    try:
        return version(module)
    except PackageNotFoundError:
        # Listing all packages takes a third of a second, so it is done only for modules that need it.
        projects = _distributions().get(module, ())
        return ", ".join(version(project) for project in projects)


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    """Return the projects by the modules that they install: ``PIL`` is a module of ``pillow``."""
    return packages_distributions()
