"""Where a callback writes when its run ends, looked at when it begins: found at the end, it would cost the run."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from algorithms import ConfigError
from storage import check_writable


@runtime_checkable
class HasPlaces(Protocol):
    """A data module or callback that looks at its places before models are built on first use, which takes minutes."""

    def check_places(self, command: str) -> None:
        """Refuse a place of no use to a command.

        Args:
            command: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            ConfigError: names key, place and reason.
            DataError: likewise.
        """
        ...


def check_destination(key: str, place: Path | None, *, is_folder: bool = True) -> None:
    """Refuse a place of the wrong kind, or where nothing can be written.

    Args:
        key: its key on the command line.
        place: as the user gave it; None for one in the run's own folder, which is there.
        is_folder: whether a folder is written there, else a file.

    Raises:
        ConfigError: names key, place and reason.
    """
    if place is None:
        return
    # What is there would be replaced by something of another kind.
    if place.is_file() if is_folder else place.is_dir():
        kinds = ("a file", "a folder") if is_folder else ("a folder", "a file")
        raise ConfigError(f"{key} is {place}, which is {kinds[0]}: give {kinds[1]}.")
    try:
        check_writable(place.parent)
    except OSError as error:
        raise ConfigError(f"{key} is {place}, where nothing can be written: {error.strerror or error}.") from error
