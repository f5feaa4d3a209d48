"""Old names of configs and flags; each is refused with the name that replaced it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algorithms import ConfigError
from cli.given.chosen_classes import SECTIONS, chosen_class, parameters
from cli.given.settings import Settings, is_set, merged, texts

CONFIGS = Path("configs")

# Keys as in error messages; a config file has ``init_args`` between the section and the name.
KEYS = {
    "model.trainable": "model.learning.trainable",
    "model.optimizer": "model.learning.optimizer",
    "model.lora": "model.learning.lora",
    "model.recompute_activations": "model.learning.recompute_activations",
    "model.group_size": "model.sampling.group_size",
    "model.claims": "model.judge",
    "data.batch_size": "data.reading.batch_size",
    "data.max_prompt_tokens": "data.reading.max_prompt_tokens",
    "data.max_image_pixels": "data.reading.max_image_pixels",
    "data.report_folder": "data.reading.report_folder",
    "data.predict_split": "data.reading.predict_split",
}
"""Old setting -> the setting that replaced it."""

CALLBACK_KEYS = {
    f"callbacks.hallucination.{name}": f"callbacks.hallucination.probes.{name}"
    for name in ("split", "num_probes", "num_samples", "kind_column", "length_bounds", "seed")
} | {"callbacks.hallucination.probes.class_path": "callbacks.hallucination.probes.source.class_path"}
"""Old setting -> new setting of the monitor, under its name in the project's configs."""

VALUES = {
    "model.judge": "{class_path: hallucination.GrammarJudge, init_args: {mention: ..., clause_end: ...}}",
}
"""Form of a new setting's value, where the old setting had another form."""

# The new path is the shortest import path, as --print_config writes it.
CLASSES = {
    "algorithms.reward_threshold": "algorithms.calibration",
    "callbacks.hallucination_monitor": "callbacks",
    "callbacks.reward_threshold_calibrator": "callbacks",
    "datamodules.pair_sources": "datamodules",
    "datamodules.pope_files": "datamodules",
    "datamodules.pope_probes": "datamodules",
    "datamodules.prompt_folder": "datamodules",
    "datamodules.prompt_pool": "datamodules",
    "datamodules.shapes": "datamodules",
    "datamodules.shapes_pairs": "datamodules",
    "lightning_modules.ClaimJudge": "hallucination.ClaimJudge",
    "lightning_modules.GrammarJudge": "hallucination.GrammarJudge",
    "lightning_modules.ObjectJudge": "hallucination.ObjectJudge",
    "lightning_modules.YesNoJudge": "hallucination.YesNoJudge",
    "lightning_modules.claim_judges": "hallucination",
    "lightning_modules.fsdp2_strategy": "lightning_modules",
    "rollouts.transformers_engine": "rollouts",
    "rollouts.vllm_engine": "rollouts",
    "rollouts.vllm_server_engine": "rollouts",
    "rollouts.vllm_settings": "rollouts",
}
"""Import path of a class, or of a module that defined classes, and the path that replaced it."""


def check_renamed(files: Sequence[Settings], flags: Sequence[Settings]) -> None:
    """Refuse old names of config files, classes and keys.

    Args:
        files: the config files of the command line.
        flags: its other flags.

    Raises:
        ConfigError: names the new names for all old names in the file or flag.
    """
    for file in files:
        if file.is_missing and (moved := moved_config(file.source)):
            raise ConfigError(f"{file.source} is not there; {CONFIGS}/ has one file of this name: {moved}.")
    everything = [*files, *flags]
    # All files together choose the class, and a key of one file may belong to the class in another file.
    keys = _old_keys(merged(everything)) | CALLBACK_KEYS
    for settings in everything:
        new_names = {path: new for path in texts(settings.content) if (new := new_class(path))}
        new_names |= {old: _with_value(new) for old, new in keys.items() if is_set(settings.content, old)}
        if new_names:
            changes = "; ".join(f"{old} is now {new}" for old, new in new_names.items())
            raise ConfigError(f"{changes} (in {settings.source}).")


def moved_config(source: str) -> Path | None:
    """Return the file below ``configs/`` with the same name as a missing file, if there is exactly one."""
    found = [path for path in CONFIGS.rglob("*.yaml") if path.name == Path(source).name]
    return found[0] if len(found) == 1 else None


def new_class(path: str) -> str | None:
    """Return the import path that replaced an old one; None when it was not replaced.

    >>> new_class("algorithms.reward_threshold.TargetRate")
    'algorithms.calibration.TargetRate'
    """
    if path in CLASSES:
        return CLASSES[path]
    module, _, name = path.rpartition(".")
    # Only classes directly in an old module: datamodules.shapes is a package today, and its modules are no old names.
    return f"{CLASSES[module]}.{name}" if module in CLASSES and re.fullmatch(r"[A-Z]\w*", name) else None


def _old_keys(content: dict[str, Any]) -> dict[str, str]:
    """Return the renamed keys that the chosen classes accept only by their new names.

    A user's own class, or a class that was not changed, may still have a setting with an old name.
    """
    found: dict[str, str] = {}
    for section in SECTIONS:
        chosen = chosen_class(content, section)
        taken = parameters(chosen) if chosen else set()
        for old, new in KEYS.items():
            if not old.startswith(f"{section}."):
                continue
            old_name, new_name = (key.split(".")[1] for key in (old, new))
            # Both conditions are needed: for a class with neither name there is no new key, and the parser lists its
            # keys.
            if new_name in taken and old_name not in taken:
                found[old] = new
    return found


def _with_value(new: str) -> str:
    return f"{new}: {VALUES[new]}" if new in VALUES else new
