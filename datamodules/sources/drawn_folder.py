"""A data folder that the project itself draws at its first use, in the form of a user's own data."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from rich import get_console
from rich.progress import track

from algorithms import DataError
from datamodules.sources.prompt_folder import PromptFolder
from storage import check_writable, whole_folder


def check_root(key: str, folder: Path) -> None:
    """Refuse a root in which the folder cannot be created.

    Args:
        key: the source as a user types it, such as ``data.source``.
        folder: the folder below the root; if it exists nothing is checked.

    Raises:
        DataError: names key, root and reason.
    """
    if folder.is_dir():
        return
    try:
        check_writable(folder.parent)
    except OSError as error:
        raise DataError(
            f"{key}.root is {folder.parent}, where pictures are drawn, and nothing can be written there: "
            f"{error.strerror or error}."
        ) from error


class DrawnFolder(PromptFolder):
    """A folder that is drawn at its first use, completely or not at all."""

    def __init__(
        self, name: str, root: str, settings: dict[str, Any], *, world: dict[str, Any], key: str = "data.source"
    ) -> None:
        """Name the folder; nothing is drawn yet.

        Args:
            name: first part of the folder's name.
            root: where such folders are kept.
            settings: all settings of a config that determine the drawing; they are written into the folder.
            world: everything else that determines the drawing: the edition of the world, and tables in its code. The
                second part of the name is a digest of ``settings`` and ``world``.
            key: setting that holds the folder, for errors.
        """
        digest = hashlib.sha256(json.dumps({**world, **settings}).encode()).hexdigest()[:10]
        super().__init__(str(Path(root) / f"{name}-{digest}"))
        self.settings, self.key = settings, key

    @property
    def notes_folder(self) -> Path:
        """The folder itself, because it belongs to the project and not to a user."""
        return self.folder

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the rows of a split, each with an object to draw, or None."""
        raise TypeError(f"{type(self).__name__} must define rows()")

    def draw(self, subject: Any) -> Image.Image:
        """Return the picture of an object that ``rows`` yielded with a row."""
        raise TypeError(f"{type(self).__name__} must define draw()")

    def check_places(self, splits: Sequence[str]) -> None:
        """Refuse a root that cannot be written, unless the folder exists; see ``PromptFolder``."""
        check_root(self.key, Path(self.path))

    def prepare(self) -> None:
        """Draw the folder unless it exists."""
        final = Path(self.path)
        check_root(self.key, final)
        if final.is_dir():
            return
        # Two processes may draw at once: the first that finishes wins, and both draw the same.
        with whole_folder(final) as draft:
            (draft / "images").mkdir()
            for split in ("train", "val", "test"):
                with (draft / f"{split}.jsonl").open("w") as lines:
                    shown = track(
                        self.rows(split), f"Drawing {final.name}/{split}", transient=True,
                        disable=not get_console().is_terminal,  # a progress bar would leave an empty line in a file
                    )  # fmt: skip
                    for row, subject in shown:
                        if subject is not None:
                            self.draw(subject).save(draft / row["image"])
                        lines.write(json.dumps(row) + "\n")
            # For human readers; the project itself uses only the folder's name.
            (draft / "settings.json").write_text(json.dumps(self.settings, indent=2))
