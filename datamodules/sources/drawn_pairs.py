"""Preference pairs that the project draws itself, read in the way in which any user's folder is read."""

from pathlib import Path
from typing import Any

from datamodules.rows.pair_rows import PairRows
from datamodules.sources.drawn_folder import DrawnFolder
from datamodules.sources.pair_source import PairSource
from datamodules.sources.preference_folder import PreferenceFolder


class DrawnPairs(PairSource):
    """Pairs in a folder that is drawn when it is first needed."""

    def __init__(self, drawn: DrawnFolder) -> None:
        """Keep the folder; nothing is drawn yet.

        Args:
            drawn: draws the rows. A folder of its own class, because a ``DrawnFolder`` is a source of prompts.
        """
        self.drawn = drawn

    @property
    def folder(self) -> Path:
        """Where the pairs are drawn."""
        return self.drawn.folder

    @property
    def notes_folder(self) -> Path:
        """The folder itself, which is the project's own."""
        return self.drawn.notes_folder

    def check_places(self) -> None:
        """Refuse a root where nothing can be written, unless the folder is there."""
        self.drawn.check_places(())

    def prepare(self) -> None:
        """Draw the folder unless it is there."""
        self.drawn.prepare()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split; see ``PairSource``."""
        return PreferenceFolder(self.drawn.path).read(split, max_image_pixels=max_image_pixels)


def drawn_pair(
    split: str, index: int, *, question: str, facts: list[str], chosen: str, rejected: str, kind: str
) -> dict[str, Any]:
    """Return the row of a pair about the picture that is drawn beside it.

    Args:
        split: "train", "val" or "test".
        index: number of the pair in it.
        question: what is asked.
        facts: what the picture shows.
        chosen: the better completion.
        rejected: the worse one.
        kind: what sets them apart.
    """
    name = f"{split}-{index:06d}"
    return {
        "id": name,
        "image": f"images/{name}.png",
        "question": question,
        "facts": facts,
        "chosen": chosen,
        "rejected": rejected,
        "kind": kind,
    }
