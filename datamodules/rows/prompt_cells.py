"""Turns the cells of one row into a prompt, or into the reason why not.

``datamodules.rows.prompt_rows`` has the table of columns, ``columns.taken`` gives the cells their meaning.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algorithms.records import Prompt
from datamodules.rows.cells import BadRow, wrong_type
from datamodules.rows.columns.taken import TakenCells
from datamodules.rows.images import EmbeddedImage, ImageBytes, ImageFile, encoded_image


def prompt_of(uid: int, key: str, row: TakenCells, folder: Path, image_prefix: str = "") -> Prompt:
    """Build a prompt from the cells of a row, without reading its images.

    Args:
        uid: position in the data set.
        key: the row's name.
        row: cells of the row by their meaning.
        folder: where image paths start and must stay, with symbolic links resolved.
        image_prefix: beginning of paths that is replaced by the folder.

    Raises:
        BadRow: An image cannot be used.
    """
    return Prompt(
        uid=uid,
        key=key,
        question=row.question,
        images=tuple(_reference(cell, folder, image_prefix) for cell in row.images),
        answer=row.answer,
        aliases=row.aliases,
        facts=row.facts,
        columns=row.columns,
        system=row.system,
        choices=row.choices,
        tolerance=row.tolerance,
    )


def _reference(cell: Any, folder: Path, prefix: str) -> ImageFile | EmbeddedImage | ImageBytes:
    if isinstance(cell, EmbeddedImage | ImageBytes):
        return cell
    if cell is None:
        raise BadRow("missing image", "the image is null")
    encoded = encoded_image(cell)
    if encoded is not None:
        return encoded
    # ``datasets`` writes an image that stays in its own file like this.
    if isinstance(cell, Mapping) and "bytes" in cell:
        return _reference(cell.get("path"), folder, prefix)
    if not isinstance(cell, str):
        raise wrong_type("image", "a path or a list of paths", cell)
    is_address = cell.startswith(("http://", "https://"))
    if is_address and not (prefix and cell.startswith(prefix)):
        raise BadRow("missing image", f"{cell:.80} is a web address: download the images and give their paths")
    return _file(_relative(cell, folder, prefix), folder)


def _relative(cell: str, folder: Path, prefix: str) -> Path:
    """Return a path relative to the folder of images."""
    if prefix and cell.startswith(prefix):
        return Path(cell.removeprefix(prefix).lstrip("/"))
    # The URL of a file is absolute; it is allowed if it lies inside of the folder.
    path = Path(cell.removeprefix("file://"))
    return path.relative_to(folder) if cell.startswith("file://") and path.is_relative_to(folder) else path


def _file(relative: Path, folder: Path) -> ImageFile:
    if relative.is_absolute() or ".." in relative.parts:
        raise BadRow(
            "path outside the data folder",
            f"{relative}: give a path below {folder}, without .., or cut its beginning with columns.image_prefix",
        )
    path = folder / relative
    try:
        target = os.path.realpath(path)
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise BadRow("missing image", f"{str(relative)!r}: {error}") from error
    # A downloaded data set must not read other files of this machine through a symbolic link.
    if not Path(target).is_relative_to(folder):
        raise BadRow("path outside the data folder", f"{relative} is a link to {target}")
    return ImageFile(path)
