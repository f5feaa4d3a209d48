"""A data folder that the project draws itself, when it is first needed, in the form that any user's data has."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from rich import get_console
from rich.progress import track

from algorithms import DataError
from datamodules.sources.prompt_folder import PromptFolder
from storage import check_writable, whole_folder


class DrawnFolder(PromptFolder):
    """A folder that is drawn when it is first needed, whole or not at all."""

    def __init__(
        self, name: str, root: str, settings: dict[str, Any], *, world: dict[str, Any], key: str = "data.source"
    ) -> None:
        """Name the folder; nothing is drawn yet.

        Args:
            name: first part of the folder's name.
            root: where such folders are kept.
            settings: everything that a config sets and that decides what is drawn, written into the folder.
            world: what else decides it: the edition of the world and tables in its code. A digest of both is the
                second part of the name.
            key: under which a config has the folder, for errors.
        """
        digest = hashlib.sha256(json.dumps({**world, **settings}).encode()).hexdigest()[:10]
        super().__init__(str(Path(root) / f"{name}-{digest}"))
        self.settings, self.key = settings, key

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the rows of a split, each with what to draw beside it, or None."""
        raise TypeError(f"{type(self).__name__} must define rows()")

    def draw(self, subject: Any) -> Image.Image:
        """Return the picture of what ``rows`` yielded beside a row."""
        raise TypeError(f"{type(self).__name__} must define draw()")

    def prepare(self) -> None:
        """Draw the folder unless it is there."""
        final = Path(self.path)
        if final.is_dir():
            return
        try:
            check_writable(final.parent)
        except OSError as error:
            raise DataError(
                f"{self.key}.root is {final.parent}, where pictures are drawn, and nothing can be written there: "
                f"{error.strerror or error}."
            ) from error
        # Another process that finishes first wins; both draw the same.
        with whole_folder(final) as draft:
            (draft / "images").mkdir()
            for split in ("train", "val", "test"):
                with (draft / f"{split}.jsonl").open("w") as lines:
                    shown = track(
                        self.rows(split), f"Drawing {final.name}/{split}", transient=True,
                        disable=not get_console().is_terminal,  # which would leave an empty line in a file
                    )  # fmt: skip
                    for row, subject in shown:
                        if subject is not None:
                            self.draw(subject).save(draft / row["image"])
                        lines.write(json.dumps(row) + "\n")
            # For readers; the project itself goes by the folder's name.
            (draft / "settings.json").write_text(json.dumps(self.settings, indent=2))
