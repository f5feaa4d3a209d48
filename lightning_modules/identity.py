"""The settings that a resumed run must share with the run that wrote the checkpoint; the checkpoint stores them.

Weights, optimizer states, the buffer and rollouts in flight fit only to the settings that made them. The learning rate,
the length of the run, its logs and its callbacks may differ.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as L

from algorithms import BufferConfig, ConfigError
from lightning_modules.grpo_module import GRPOModule
from lightning_modules.policy_module import PolicyModule
from lightning_modules.rollout_module import RolloutModule
from models import PolicySource

Identity = Mapping[str, str]
"""Values as text, by config key. When a value ends with a fingerprint in brackets, only the fingerprint is compared."""

KEY = "run_identity"
# These two must agree even for validation: otherwise weights do not fit, or states have no owner.
_OF_WEIGHTS = ("model", "model.policy", "model.learning.lora")
_PIECE = 65_536  # bytes


@runtime_checkable
class ExperienceSettings(Protocol):
    """Settings of GRPO's data module."""

    prompts_per_rollout: int
    micro_batches: int
    buffer_config: BufferConfig
    seed: int


@runtime_checkable
class Seeded(Protocol):
    """A data module with a seed of its own."""

    seed: int


class RunIdentity(L.Callback):
    """Adds the identity of a run to every checkpoint, also to those that another callback writes."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the identity."""
        checkpoint[KEY] = dict(self._identity)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compute the identity once, because the policy's folder may be deleted later."""
        self._identity = run_identity(trainer, pl_module, trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]


def run_identity(trainer: L.Trainer, module: L.LightningModule, data: L.LightningDataModule | None) -> Identity:
    """Return the identity of a run, before or after its models are loaded."""
    values: dict[str, object] = {"model": type(module).__name__, "trainer.precision": trainer.precision}
    if data is not None:
        values["data"] = type(data).__name__
    if isinstance(module, PolicyModule):
        lora = module.learning.lora
        values |= {
            "model.policy": described(module.policy_source),
            "model.learning.trainable": sorted(module.learning.trainable),
            "model.learning.lora": None if lora is None else asdict(lora),
        }
    if isinstance(module, RolloutModule):
        values |= {"model.sampling.group_size": module.sampling.group_size, "model.seed": module.seed}
    if isinstance(module, GRPOModule):
        # Only whether the learner scores completions again is compared; the value of the cap may change.
        values["model.grpo.engine_ratio_cap"] = "null" if module.grpo.engine_ratio_cap is None else "a number"
    if isinstance(data, Seeded):
        values["data.seed"] = data.seed
    if isinstance(data, ExperienceSettings):
        values |= {
            "data.prompts_per_rollout": data.prompts_per_rollout,
            "data.micro_batches": data.micro_batches,
            "data.buffer.capacity": data.buffer_config.capacity,
        }
    return {key: str(value) for key, value in values.items()}


def check_identity(saved: Identity, present: Identity, *, path: str | Path, resumes: bool) -> None:
    """Refuse a checkpoint that this run cannot continue.

    Args:
        saved: identity in the checkpoint.
        present: identity of this run.
        path: the checkpoint, for the message.
        resumes: True: the whole identity must be the same. False, for commands that only read weights: only the entries
            on which weights depend.

    Raises:
        ConfigError: names every difference with both values, and what to do.
    """
    different = [
        key
        for key in saved
        # A checkpoint of another version may have more or fewer entries; only common entries are compared.
        if key in present and _compared(saved[key]) != _compared(present[key]) and (resumes or key in _OF_WEIGHTS)
    ]
    if different:
        found = ", ".join(f"{key} is {present[key]} and was {saved[key]}" for key in different)
        raise ConfigError(
            f"ckpt_path {path} was written by another run: {found}; set what it was, or start a new run from the "
            "export of that one: --model.init_args.policy.path=FOLDER, without --ckpt_path."
        )


def described(source: PolicySource) -> str:
    """Return a policy source as text: class, settings, and a fingerprint of the files in its folders.

    By the fingerprint, a folder that was moved counts as the same, and a folder whose weights were replaced as another.
    """
    # Settings that are objects, such as options of reading, do not change the weights.
    settings = {
        name: value
        for name, value in sorted(vars(source).items())
        if isinstance(value, str | int | float | list | tuple) and not name.startswith("_")
    }
    shown = ", ".join(f"{name}={_short(value)}" for name, value in settings.items())
    digest = hashlib.sha256(type(source).__name__.encode())
    for name, value in settings.items():
        is_folder = isinstance(value, str) and Path(value).expanduser().is_dir()
        content = _folder_digest(Path(str(value)).expanduser()) if is_folder else repr(value)
        digest.update(f"{name}={content}\0".encode())
    return f"{type(source).__name__}({shown}) [{digest.hexdigest()[:8]}]"


def _compared(value: str) -> str:
    """Return the part of a value that is compared: the fingerprint where there is one."""
    return value[value.rindex("[") :] if value.endswith("]") and ") [" in value else value


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _folder_digest(folder: Path) -> str:
    """Return a digest of a model's files: their names, sizes, and a piece of their beginning, middle and end."""
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("*.json"), *folder.glob("*.safetensors"))):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\0".encode())
        with path.open("rb") as file:
            # Whole files would take minutes for large models.
            for start in (0, size // 2, max(0, size - _PIECE)):
                file.seek(start)
                digest.update(file.read(_PIECE))
    return digest.hexdigest()
