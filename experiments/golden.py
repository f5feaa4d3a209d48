"""Digests of the final weights of short runs: they are equal on two commits when a change did not alter the behaviour.

    python -m experiments.golden                 writes runs/golden/digests.json and prints it

20 optimizer steps each of GRPO, of MPO, and of GRPO with monitor and calibrator, on one thread, from models that the
same commit builds. To compare with an older commit, copy this file into a checkout of it: configs are found by name.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open

STEPS = 20
FOLDER = Path("runs/golden")
RUNS = {
    "grpo": ("grpo",),
    "mpo": ("mpo",),
    "calibrated": ("grpo", "grpo_biased", "grpo_calibrated"),
}
# The calibrator must act within so few steps; otherwise the run would equal plain GRPO.
FLAGS = {
    "calibrated": (
        "--callbacks.hallucination.init_args.every_n_steps=5",
        "--callbacks.calibrator.init_args.strategy.init_args.target=0.9",
    )
}


def main() -> None:
    """Run each of ``RUNS`` and print the digest of its weights."""
    digests = {name: _digest(_train(name, configs)) for name, configs in RUNS.items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "digests.json").write_text(json.dumps(digests, indent=1) + "\n")
    print(json.dumps(digests, indent=1))  # noqa: T201


def _train(name: str, configs: tuple[str, ...]) -> Path:
    """Train and return the exported folder."""
    export = FOLDER / name
    flags = [f"--config={_config(config)}" for config in configs]
    flags += [f"--trainer.max_steps={STEPS}", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
    flags += ["--callbacks.progress=null", "--callbacks.layout=null", "--callbacks.predictions=null"]
    flags += [f"--trainer.default_root_dir={FOLDER}", *FLAGS.get(name, ())]
    flags += ["--callbacks.export=callbacks.ExportPolicy", f"--callbacks.export.folder={export}"]
    # One thread, because with several threads the order of sums differs between machines.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "train.py", "fit", *flags], check=True, env=environment)
    return export


def _config(name: str) -> Path:
    """Return the config of the tiny world with this name, from any folder, because older commits have other folders."""
    (path,) = Path("configs/tiny").rglob(f"{name}.yaml")
    return path


def _digest(export: Path) -> str:
    """Return a digest of all weights: names, shapes and bytes."""
    digest = hashlib.sha256()
    for file in sorted(export.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for key in sorted(weights.keys()):
                tensor = weights.get_tensor(key).contiguous()
                digest.update(f"{key} {list(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
