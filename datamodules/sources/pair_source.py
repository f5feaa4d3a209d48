"""What every source of preference pairs offers."""

from pathlib import Path

from datamodules.rows.pair_rows import PairRows
from storage import notes_folder


class PairSource:
    """A source of preference pairs. Subclasses that make or convert their own data override ``prepare``."""

    @property
    def folder(self) -> Path:
        """Where the pairs lie on disk; reports name it."""
        raise TypeError(f"{type(self).__name__} must define folder")

    @property
    def notes_folder(self) -> Path:
        """Where caches and reports about these data go that belong to no run; nothing is written into ``folder``."""
        return notes_folder(self.folder)

    def check_places(self) -> None:
        """Refuse, before anything is made or read, files that are not there and places where nothing can be written."""

    def prepare(self) -> None:
        """Make the files, if they are not there yet. Called once, by one process, before any split is read."""

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read and check the pairs of a split.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.

        Returns:
            The pairs and the rejected rows, or None when this source has no such split.
        """
        raise TypeError(f"{type(self).__name__} must define read()")
