"""The column map of preference pairs: names the columns with the question, the images and the two completions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from algorithms.errors import ConfigError
from datamodules.rows.cells import BadRow, wrong_type
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.rows.columns.lookup import cell_at, listed


@dataclass(frozen=True, kw_only=True)
class PairColumns:
    """Columns by their meaning; dotted names lead into nested cells. A file in MMPR's or TRL's layout needs no map."""

    question: str | None = None
    """Null: ``question`` or ``prompt``, or the user turn of both completions."""

    images: str | list[str] | None = None
    """One column or several, ``image_*``. Null: ``image`` or ``images``."""

    image_folder: str | None = None
    """Where image paths begin, absolute or relative to the data folder; null: the data folder."""

    image_prefix: str = ""
    """Beginning of the paths in the file that stands for ``image_folder``."""

    chosen: str = "chosen"
    rejected: str = "rejected"
    responses: str | None = None
    """Column with a list of two completions, instead of ``chosen`` and ``rejected``."""

    ranking: str | None = None
    """Column with the ranks of ``responses``, in their order; the smallest rank is the best."""

    answer: str | None = None
    """Ground truth. Null: ``answer`` or ``answer_gt``."""

    system: str | None = "system"
    """System turn in front of the question."""

    id: str = "id"
    kind_of_id: dict[str, str] = field(default_factory=dict[str, str])
    """Beginning of a pair's id, in any case -> kind of the pair: ``{mathverse: reasoning, wildvision: general}``. The
    longest matching beginning counts; without a match the column ``kind`` has the kind."""

    unused: list[str] = field(default_factory=list[str])
    """Columns that look like images and are left out on purpose."""

    def __post_init__(self) -> None:
        if (self.responses is None) != (self.ranking is None):
            raise ConfigError(
                f"columns.responses={self.responses!r} and columns.ranking={self.ranking!r} belong together: the ranks "
                "say which completion is chosen."
            )

    @property
    def of_prompts(self) -> ColumnMap:
        """The column map of the prompt, for cells that ``renamed`` has returned."""
        return ColumnMap(
            images=self.images,
            image_folder=self.image_folder,
            image_prefix=self.image_prefix,
            unused=self.unused,
        )


def renamed(cells: dict[str, Any], columns: PairColumns) -> dict[str, Any]:
    """Return the cells of a row under the names of ``datamodules.rows.pair_rows``.

    Raises:
        BadRow: "wrong type", or "no completion is better".
    """
    moved = {"question": columns.question, "chosen": columns.chosen, "rejected": columns.rejected}
    moved |= {"answer": columns.answer, "id": columns.id, "system": columns.system}
    # Columns that keep their names are not moved.
    moved = {name: column for name, column in moved.items() if column not in (None, name)}
    found = {name: cell for name, cell in cells.items() if name not in moved.values()}
    found |= {name: cell_at(cells, str(column)) for name, column in moved.items()}
    if columns.responses is not None and columns.ranking is not None:
        found.pop(columns.responses, None)
        found["chosen"], found["rejected"] = _ranked(cells, columns.responses, columns.ranking)
    if (kind := _kind_of(str(found.get("id", "")), columns.kind_of_id)) is not None:
        found["kind"] = kind
    return found


def _kind_of(name: str, kinds: Mapping[str, str]) -> str | None:
    matching = [start for start in kinds if name.lower().startswith(start.lower())]
    return kinds[max(matching, key=len)] if matching else None


def _ranked(cells: Mapping[str, Any], responses: str, ranking: str) -> tuple[Any, Any]:
    texts, ranks = listed(cell_at(cells, responses)), listed(cell_at(cells, ranking))
    if texts is None or len(texts) != 2:
        raise wrong_type(responses, "a list of two completions", cell_at(cells, responses))
    if ranks is None or len(ranks) != 2 or not all(isinstance(rank, int | float) for rank in ranks):
        raise wrong_type(ranking, "a list of two ranks", cell_at(cells, ranking))
    if ranks[0] == ranks[1]:
        raise BadRow("no completion is better", f"{ranking} is {ranks!r:.40}")
    return (texts[0], texts[1]) if ranks[0] < ranks[1] else (texts[1], texts[0])
