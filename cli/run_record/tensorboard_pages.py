"""Describes a run on TensorBoard's pages: command and config as text; settings and results on the HParams page."""

from collections.abc import Iterator, Mapping
from typing import Any

import lightning.pytorch as L
import yaml
from torch.utils.tensorboard.summary import hparams

from cli.run_record.closing import command_line
from cli.run_record.names import SILENT
from lightning_modules.logs.tensorboard import tensorboard_writers
from run_records import RunRecord

# Metrics for comparing runs. TensorBoard shows the last value of each metric that a run logs.
RESULTS = (
    "val/greedy_accuracy", "val/sampled_accuracy", "val/hallucination_rate", "val/preference_accuracy",
    "val/pair_accuracy", "val/loss", "rollout/accuracy", "rollout/effective_fraction",
)  # fmt: skip
_SECTIONS = ("model", "data", "callbacks")
_TRAINER = ("max_steps", "accumulate_grad_batches", "precision", "gradient_clip_val", "devices", "strategy")
_LONGEST = 60  # characters of a setting: longer settings are templates and patterns, useless in a table


class RunPages(L.Callback):
    """Writes the pages when training starts."""

    def __init__(self, record: RunRecord, config: str) -> None:
        """Keep the record of the run that starts, and its resolved config as YAML."""
        self.record, self.config = record, config

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write to every TensorBoard logger."""
        settings = dict(comparable(self.config)) | {"name": self.record.title}
        for writer in tensorboard_writers(trainer):
            writer.add_text("run/command", as_code(f"{command_line(self.record.arguments)}\n{_versions(self.record)}"))
            writer.add_text("run/config", as_code(self.config))
            assert writer.file_writer is not None  # it is None in a closed writer
            for summary in hparams(settings, dict.fromkeys(RESULTS)):
                writer.file_writer.add_summary(summary)


def as_code(text: str) -> str:
    """Return markdown that shows a text unchanged, line by line."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def comparable(config: str) -> Iterator[tuple[str, bool | float | str]]:
    """Yield the settings in which runs may differ, as (key without ``init_args``, value).

    Args:
        config: a resolved config as YAML.
    """
    sections: dict[str, Any] = yaml.safe_load(config)
    yield "seed", sections.get("seed_everything", "none")
    for key in _TRAINER:
        yield from _leaves(f"trainer.{key}", sections.get("trainer", {}).get(key))
    for name in _SECTIONS:
        # The page shows only the first few settings, so settings that only monitor or save are left out.
        yield from ((key, value) for key, value in _leaves(name, sections.get(name)) if not key.startswith(SILENT))


def _leaves(key: str, value: Any) -> Iterator[tuple[str, bool | float | str]]:
    if isinstance(value, Mapping):
        if "class_path" in value:
            yield key, str(value["class_path"]).rpartition(".")[2]
        for name, inner in value.items():
            if name != "class_path":
                yield from _leaves(key if name == "init_args" else f"{key}.{name}", inner)
    elif isinstance(value, bool | int | float):
        yield key, value
    elif value is not None and len(str(value)) <= _LONGEST:
        yield key, str(value)


def _versions(record: RunRecord) -> str:
    changed = ", with changes" if record.git and record.git["is_dirty"] else ""
    commit = f"commit {record.git['commit']}{changed}" if record.git else "no commit known"
    return f"{commit}\n" + ", ".join(f"{name} {number}" for name, number in record.versions.items())
