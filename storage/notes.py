"""The folder in which the project keeps notes about a user's data: never inside of the user's own folders."""

import hashlib
from pathlib import Path

NOTES = Path("runs/notes")


def notes_folder(folder: Path) -> Path:
    """Return the folder of notes about a data folder, ``runs/notes/NAME-DIGEST``; it need not exist.

    Args:
        folder: folder of the data; a digest of its absolute path distinguishes folders with the same name.
    """
    place = folder.expanduser().absolute()
    return NOTES / f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
