"""Collects facts about the data of a config; ``page`` shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms.errors import ConfigError, DataError
from algorithms.records import Prompt
from cli.inspection.golds import GoldReading, read_golds
from cli.inspection.reader import PromptReading, reader_of
from datamodules.experience import ExperienceDataModule
from datamodules.prompts import PromptDataModule
from datamodules.reading import SPLITS
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection, count_reasons
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.prompt_pool import read_entries, summary
from datamodules.streams.overlap import Overlap, overlap_of
from datamodules.streams.prompt_stream import first_rows

# Rows that are read of a streamed split.
_ROWS_OF_STREAM = 1000
# Rejected rows that are shown for each reason.
_MAX_REJECTIONS = 5


@dataclass
class SplitFindings:
    """Facts about one split."""

    name: str
    where: str = ""
    error: str = ""
    """Why the split cannot be read; empty when it can be read."""

    note: str = ""
    """Note that the split has no file, which is no error; empty when it has a file."""

    rows: PromptRows | None = None
    is_start: bool = False
    """Whether only the first rows of a stream were read."""

    shown: Sequence[PromptReading] = ()
    lengths: Sequence[int] = ()
    """Lengths of the measured prompts in tokens."""

    unreadable: Sequence[tuple[str, str]] = ()
    """Measured prompts that the policy cannot read, and why."""

    golds: Sequence[GoldReading] = ()
    overlap: Overlap | None = None
    """Overlap with the training prompts."""

    rejections: dict[str, Sequence[Rejection]] = field(default_factory=dict[str, Sequence[Rejection]])
    """The first rejected rows for each reason."""

    @property
    def num_rejected(self) -> dict[str, int]:
        """Rejected rows by reason."""
        return count_reasons(self.rows.rejections) if self.rows else {}

    @property
    def unread_golds(self) -> list[GoldReading]:
        """Answers that the verifier does not find equal to themselves."""
        return [gold for gold in self.golds if not gold.is_read]


@dataclass
class Findings:
    """Facts about the data of a config."""

    max_prompt_tokens: int | None
    splits: list[SplitFindings]
    reader_error: str = ""
    """Why prompts cannot be shown as the policy reads them; empty when they can be shown."""

    pass_rates: dict[str, Any] | None = None
    """Counts of the prompt pool; None when the config has no pool."""

    def in_words(self) -> str:
        """Return one line for each split."""
        return "\n".join(map(_in_words, self.splits))


def inspected(model: object, data: PromptDataModule, *, num_prompts: int, num_measured: int) -> Findings:
    """Read and examine every split.

    Args:
        model: its policy source determines how prompts are read.
        data: data module whose source is read.
        num_prompts: number of prompts of each split to show.
        num_measured: number of prompts of each split to measure, evenly spaced.
    """
    encoder, problem = reader_of(model)
    found = Findings(data.reading.max_prompt_tokens, [], problem)
    for split in SPLITS:
        if not data.source.has(split):
            continue
        one = SplitFindings(split, note=note) if (note := _absence(data.source, split)) else _read(data, split)
        if one.rows is not None:
            _look_at(one, data, encoder, num_prompts, num_measured)
        found.splits.append(one)
    _compare(found.splits)
    if isinstance(data, ExperienceDataModule) and data.pool is not None:
        found.pass_rates = summary(read_entries(Path(data.pool.path)))
    return found


def _absence(source: PromptFolder, split: str) -> str:
    """Return a note on a test split that has no file and no name of its own; empty otherwise."""
    is_looked_for = split == "test" and source.names[split] == split and source.folder.is_dir()
    if not is_looked_for or split in source.present_files():
        return ""
    return f"no test file in {source.path}, and only the command test needs one"


def _read(data: PromptDataModule, split: str) -> SplitFindings:
    found = SplitFindings(split, is_start=split == "train" and data.source.streamed)
    pixels = data.reading.max_image_pixels
    try:
        found.where = str(data.source.split_file(split))
        if found.is_start:
            found.rows = first_rows(data.source.streamed_parts(max_image_pixels=pixels), _ROWS_OF_STREAM)
        else:
            found.rows = data.source.read(split, max_image_pixels=pixels)
    except (ConfigError, DataError) as error:
        # The other splits are still examined.
        found.error = str(error)
        return found
    for rejection in found.rows.rejections:
        of_reason = found.rejections.setdefault(rejection.reason, [])
        if len(of_reason) < _MAX_REJECTIONS:
            found.rejections[rejection.reason] = [*of_reason, rejection]
    return found


def _look_at(
    found: SplitFindings,
    data: PromptDataModule,
    encoder: Callable[[Prompt], PromptReading],
    num_prompts: int,
    num_measured: int,
) -> None:
    assert found.rows is not None
    asked = [data.reading.template.applied(prompt) for prompt in found.rows.prompts]
    readings = [encoder(prompt) for prompt in _spread(asked, num_measured)]
    found.lengths = [reading.num_tokens for reading in readings if reading.num_tokens is not None]
    found.unreadable = [(reading.prompt.key, reading.problem) for reading in readings if reading.problem]
    found.shown = _spread(readings, num_prompts)
    found.golds = read_golds(_spread(asked, num_measured))


def _compare(splits: Sequence[SplitFindings]) -> None:
    training = next((split.rows for split in splits if split.name == "train" and not split.is_start), None)
    for split in splits:
        if training is not None and split.name != "train" and split.rows is not None:
            split.overlap = overlap_of(training, split.rows)


def _spread(rows: Sequence[Any], number: int) -> list[Any]:
    """Return up to ``number`` rows, evenly spaced."""
    step = max(1, -(-len(rows) // number))
    return list(rows[::step])


def _in_words(split: SplitFindings) -> str:
    if split.rows is None:
        return f"{split.name}: {split.error or split.note}"
    rows, audit = split.rows, split.rows.audit
    parts = [f"{len(rows.prompts)} of {rows.num_rows} rows"]
    if audit is not None:
        parts += [f"{audit.num_with_images} with images", f"{audit.num_with_answer} with an answer"]
    parts += [f"{count} {reason}" for reason, count in split.num_rejected.items()]
    if split.unread_golds:
        parts.append(f"{len(split.unread_golds)} of {len(split.golds)} answers that the verifier cannot read")
    if split.overlap is not None and split.overlap.same:
        parts.append(f"{len(split.overlap.same)} prompts of train")
    return f"{split.name}: {', '.join(parts)}"
