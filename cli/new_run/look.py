"""Reads the first rows of a data set as the trainer would read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from algorithms import ConfigError, DataError, PreferencePair, Prompt
from algorithms.errors import PromptError
from cli.new_run.columns import Guess, guess_pairs, guess_prompts
from cli.new_run.files import DataFiles
from cli.new_run.model import ModelLook
from cli.new_run.presets import preset_of
from datamodules.reading import ReadingConfig
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.pair_columns import PairColumns
from datamodules.rows.pair_rows import PairReader
from datamodules.rows.prompt_rows import PromptReader
from datamodules.rows.rejections import Rejection, count_reasons, describe_reasons
from datamodules.sources.mmpr_folder import MMPRFolder

_PIXELS = ReadingConfig().max_image_pixels
NUM_MEASURED = 256
"""Number of rows whose lengths are measured."""


@dataclass
class DataLook:
    """The rows that were read, and facts about them."""

    files: DataFiles
    num_rows: int
    guess: Guess
    preset: str | None
    prompts: Sequence[Prompt]
    pairs: Sequence[PreferencePair] = ()
    rejections: Sequence[Rejection] = ()
    lengths: Sequence[int] = field(default_factory=list[int])
    """Tokens of the measured prompts; for pairs, of each prompt with the longer completion."""

    unreadable: str | None = None
    """Why the model cannot read one of the rows; None when it can read all."""

    @property
    def num_looked_at(self) -> int:
        """Number of rows that were read, good and bad."""
        return len(self.pairs or self.prompts) + len(self.rejections)

    @property
    def rejected(self) -> str:
        """The rejected rows by reason, in words."""
        return ", ".join(f"{count} {reason}" for reason, count in count_reasons(self.rejections).items())


def has_pairs(files: DataFiles) -> bool:
    """Return whether rows hold a chosen and a rejected completion."""
    return guess_pairs(_first_cells(files), files.byte_columns(), _folder(files)) is not None


def look_at_prompts(files: DataFiles) -> DataLook:
    """Guess the columns of prompts, and read the first rows.

    Raises:
        DataError: no column can be a question, or no row can be used.
    """
    rows = _first_cells(files)
    if not rows:
        raise DataError(f"{files.files[0]} holds no rows that can be read: one JSON object a line, or a table.")
    guess = guess_prompts(rows, files.byte_columns(), _folder(files))
    known = preset_of(guess.names, files.folder, "source")
    if known is not None:
        guess = Guess(known[1], [], guess.names)
    elif files.records is not None:
        guess.keys["records"] = files.records
    best = _read(files, guess.keys)
    # Numbers that stand for choices look like answers that are numbers.
    for form in ("index_0", "index_1") if "choices" in guess.keys and "answer_form" not in guess.keys else ():
        other = _read(files, {**guess.keys, "answer_form": form})
        if len(other.rejections) < len(best.rejections):
            best, guess.keys = other, {**guess.keys, "answer_form": form}
    if not best.prompts:
        raise DataError(
            f"{files.files[0]} has no row that can be used: {describe_reasons(best.rejections)}; columns found: "
            f"{', '.join(guess.names)}."
        )
    return DataLook(
        files=files,
        num_rows=files.num_rows,
        guess=guess,
        preset=known[0] if known else None,
        prompts=best.prompts,
        rejections=best.rejections,
    )


def look_at_pairs(files: DataFiles) -> DataLook:
    """Guess the columns of pairs, and read the first rows.

    Raises:
        ConfigError: no column holds a chosen and a rejected completion.
        DataError: no row can be used.
    """
    rows = _first_cells(files)
    names = list(dict.fromkeys(name for row in rows for name in row))
    known = preset_of([*names, *files.byte_columns()], files.folder, "pairs")
    guess = guess_pairs(rows, files.byte_columns(), _folder(files))
    if known is not None:
        guess = Guess(known[1], [], names)
    if guess is None:
        raise ConfigError(
            f"{files.files[0]} holds no pairs, which MPO learns from: a row needs chosen and rejected; columns found: "
            f"{', '.join(names) or 'none'}."
        )
    columns = PairColumns(**guess.keys)
    reader = PairReader(max_image_pixels=_PIXELS, columns=columns)
    for file in files.files[:1]:
        reader.read(file, _folder(files))
    return _of_pairs(files, guess, known[0] if known else None, reader.rows(), files.num_rows)


def look_at_mmpr(files: DataFiles) -> DataLook:
    """Read pairs in MMPR's layout; raises the errors of ``MMPRFolder``."""
    rows = MMPRFolder(str(files.files[0])).read("train", max_image_pixels=_PIXELS)
    assert rows is not None, "MMPR has training pairs"
    guess = Guess({"chosen": "chosen", "rejected": "rejected"}, [], [])
    return _of_pairs(files, guess, "configs/datasets/mmpr.yaml", rows, rows.num_rows)


def _of_pairs(files: DataFiles, guess: Guess, preset: str | None, rows: Any, num_rows: int) -> DataLook:
    if not rows.pairs:
        raise DataError(f"{files.files[0]} has no pair that can be used: {describe_reasons(rows.rejections)}.")
    prompts = list({id(pair.prompt): pair.prompt for pair in rows.pairs}.values())
    return DataLook(
        files=files,
        num_rows=num_rows,
        guess=guess,
        preset=preset,
        prompts=prompts,
        pairs=rows.pairs,
        rejections=rows.rejections,
    )


def measure(look: DataLook, model: ModelLook, asked: Callable[[Prompt], Prompt]) -> None:
    """Measure lengths in tokens, images expanded.

    Args:
        look: rows, of which some are measured, evenly spaced; it gets the lengths.
        model: model whose processor counts the tokens.
        asked: function that puts the template around a prompt.

    Raises:
        DataError: the model can read none of the rows.
    """
    rows: Sequence[Any] = look.pairs or look.prompts
    lengths: list[int] = []
    for row in rows[:: max(1, -(-len(rows) // NUM_MEASURED))]:
        try:
            lengths.append(_length(row, model, asked))
        except PromptError as error:
            look.unreadable = look.unreadable or str(error)
    if not lengths:
        raise DataError(f"--model {model.path!r} can read none of the rows: {look.unreadable}.")
    look.lengths = lengths


def _length(row: Any, model: ModelLook, asked: Callable[[Prompt], Prompt]) -> int:
    if isinstance(row, Prompt):
        return model.encoder.length(asked(row))
    sides = model.encoder.completion_ids([row.chosen, row.rejected], [True, True])
    return model.encoder.length(row.prompt) + max(map(len, sides))


def _folder(files: DataFiles) -> Path:
    return Path(files.folder).expanduser().absolute()


def _first_cells(files: DataFiles) -> list[dict[str, Any]]:
    # Cells of images are read only when a key names their column; other bytes stay in the file.
    columns = ColumnMap(unused=files.byte_columns(), records=files.records)
    return [row for _, row in islice(files.cells(columns), 200) if isinstance(row, dict)]


def _read(files: DataFiles, keys: dict[str, Any]) -> Any:
    columns = ColumnMap(**keys)
    reader = PromptReader(_folder(files), max_image_pixels=_PIXELS, columns=columns)
    rows = [reader.row(uid, key, cells) for uid, (key, cells) in enumerate(files.cells(columns))]
    return _Read([row for row in rows if isinstance(row, Prompt)], [row for row in rows if isinstance(row, Rejection)])


@dataclass(frozen=True)
class _Read:
    prompts: list[Prompt]
    rejections: list[Rejection]
