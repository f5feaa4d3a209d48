"""Functions for notebooks: go to the project's folder, silence libraries, build models on first use."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path

# In Jupyter tqdm (at import) and rich (at its first bar) warn when widgets are missing; both work without them.
warnings.filterwarnings("ignore", "IProgress not found")
warnings.filterwarnings("ignore", 'install "ipywidgets"')

from cli.app import run
from cli.built import build, built_folder
from cli.given.places import PROJECT
from cli.quiet import quiet


def stand_in_project() -> None:
    """Go to the folder of ``train.py``, so that paths mean the same in Jupyter as in a script, and silence libraries.

    The project's own messages about data and runs are printed like other output.
    """
    os.chdir(PROJECT)
    quiet()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")


def built(config: str, seed: int = 0) -> str:
    """Return the folder of a model that a config builds: ``${built_by:CONFIG,SEED}`` for Python.

    It is built at the first call, which takes a minute or two for the tiny policy, and shared with every run that
    starts from the same config and seed. The output of building is shown only when building fails.

    Args:
        config: path of the config, such as ``configs/tiny/stages/adapter.yaml``.
        seed: seed of the build.

    Raises:
        ConfigError: when the config, or a config that it is built from, does not exist.
    """
    folder = built_folder(config, seed)
    if folder.is_dir():
        return str(folder)
    print(f"Building {Path(config).stem} with seed {seed}, once: this takes minutes.")  # noqa: T201  (for the notebook)
    with tempfile.TemporaryFile("w+") as output:
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                build(config, seed, partial(run, is_build=True))
        except BaseException:
            output.seek(0)
            print(output.read())  # noqa: T201
            raise
    return str(folder)
