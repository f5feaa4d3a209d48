"""Preference pairs that the project itself draws; they are read like a user's own folder."""

from pathlib import Path
from typing import Any

from datamodules.rows.pair_rows import PairRows
from datamodules.sources.drawn_folder import DrawnFolder
from datamodules.sources.pair_source import PairSource
from datamodules.sources.preference_folder import PreferenceFolder


class DrawnPairs(PairSource):
    """Pairs in a folder that is drawn at its first use."""

    def __init__(self, drawn: DrawnFolder) -> None:
        """Keep the folder; nothing is drawn yet.

        Args:
            drawn: folder that draws the rows. It is a separate object, because a ``DrawnFolder`` is a source of
                prompts.
        """
        self.drawn = drawn

    @property
    def folder(self) -> Path:
        """Folder of the drawn pairs."""
        return self.drawn.folder

    @property
    def notes_folder(self) -> Path:
        """The folder itself, because it belongs to the project and not to a user."""
        return self.drawn.notes_folder

    def check_places(self) -> None:
        """Refuse a root that cannot be written, unless the folder exists."""
        self.drawn.check_places(())

    def prepare(self) -> None:
        """Draw the folder unless it exists."""
        self.drawn.prepare()

    def read(self, split: str, *, max_image_pixels: int) -> PairRows | None:
        """Read a split; see ``PairSource``."""
        return PreferenceFolder(self.drawn.path).read(split, max_image_pixels=max_image_pixels)


def drawn_pair(
    split: str, index: int, *, question: str, facts: list[str], chosen: str, rejected: str, kind: str
) -> dict[str, Any]:
    """Return the row of a pair about a drawn picture.

    Args:
        split: "train", "val" or "test".
        index: number of the pair in the split.
        question: the question.
        facts: the things in the picture.
        chosen: the better completion.
        rejected: the worse completion.
        kind: kind of difference between the two.
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
