"""Checks at the start of a run where a callback will write at its end: an error there would cost the run."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from algorithms import ConfigError
from storage import check_writable


@runtime_checkable
class HasPlaces(Protocol):
    """A data module or callback that checks its folders and files before models are built, which takes minutes."""

    def check_places(self, command: str) -> None:
        """Refuse a folder or file that the command cannot use.

        Args:
            command: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            ConfigError: names key, place and reason.
            DataError: names file and reason.
        """
        ...


def check_destination(key: str, place: Path | None, *, is_folder: bool = True) -> None:
    """Refuse a place of the wrong kind, or where nothing can be written.

    Args:
        key: key of the place on the command line.
        place: path as the user gave it; None for a place in the run's own folder, which exists.
        is_folder: True: the callback writes a folder; False: a file.

    Raises:
        ConfigError: names key, place and reason.
    """
    if place is None:
        return
    # A file would be replaced by a folder, or a folder by a file.
    if place.is_file() if is_folder else place.is_dir():
        kinds = ("a file", "a folder") if is_folder else ("a folder", "a file")
        raise ConfigError(f"{key} is {place}, which is {kinds[0]}: give {kinds[1]}.")
    try:
        check_writable(place.parent)
    except OSError as error:
        raise ConfigError(f"{key} is {place}, where nothing can be written: {error.strerror or error}.") from error
