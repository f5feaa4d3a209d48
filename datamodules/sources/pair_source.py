"""The base class of sources of preference pairs."""

from pathlib import Path

from datamodules.rows.pair_rows import PairRows
from storage import notes_folder


class PairSource:
    """A source of preference pairs. Subclasses that make or convert their own data override ``prepare``."""

    @property
    def folder(self) -> Path:
        """Folder of the pairs on disk, which reports name."""
        raise TypeError(f"{type(self).__name__} must define folder")

    @property
    def notes_folder(self) -> Path:
        """Folder for caches and reports about these data that belong to no run; ``folder`` itself is never written."""
        return notes_folder(self.folder)

    def check_places(self) -> None:
        """Refuse missing files and folders that cannot be written, before data are read or created."""

    def prepare(self) -> None:
        """Create missing files. Called once, by one process, before any split is read."""

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read and check the pairs of a split.

        Args:
            split: "train", "val" or "test".
            max_image_pixels: largest width times height of an image.

        Returns:
            The pairs and the rejected rows, or None when this source has no such split.
        """
        raise TypeError(f"{type(self).__name__} must define read()")
