"""Where the project keeps what it finds out about a user's data: beside its own files, never among the user's."""

import hashlib
from pathlib import Path

NOTES = Path("runs/notes")


def notes_folder(folder: Path) -> Path:
    """Return the folder of notes about a data folder, ``runs/notes/NAME-DIGEST``; it need not exist.

    Args:
        folder: where the data lie; a digest of its absolute path tells folders of one name apart.
    """
    place = folder.expanduser().absolute()
    return NOTES / f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
