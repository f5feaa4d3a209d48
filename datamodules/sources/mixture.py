"""Several sources as one: mixed by weight in training, one after another in other splits.

source:
  class_path: datamodules.PromptMixture
  init_args:
    sources:
      geometry: {weight: 2.0, source: {class_path: datamodules.PromptFolder, init_args: {...}}}
      charts: {weight: 1.0, source: {class_path: datamodules.HubPrompts, init_args: {...}}}
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from algorithms import ConfigError, DataError
from datamodules.rows.prompt_rows import PromptRows
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.sources.shards import PART_BITS, StreamedPart


@dataclass(frozen=True)
class MixedSource:
    """One part of a mixture."""

    source: PromptFolder
    """Source of its prompts."""

    weight: float = 1.0
    """Share of the training prompts, relative to the other weights."""


class PromptMixture(PromptFolder):
    """Prompts of several sources. ``Prompt.columns['source']`` names the part, unless the data has such a column.

    A source may lack a split (null), so training and validation may use different data sets.
    """

    def __init__(self, sources: dict[str, MixedSource]) -> None:
        """Keep the sources; nothing is read yet.

        Args:
            sources: the parts by name.
        """
        if not sources:
            raise ConfigError("data.source.sources must name at least one source, got {}: there is nothing to mix.")
        for name, part in sources.items():
            if not 0.0 < part.weight < float("inf"):
                raise ConfigError(
                    f"data.source.sources.{name}.weight must be a number above 0, got {part.weight}: leave a source "
                    "out to draw nothing from it."
                )
            if isinstance(part.source, PromptMixture):
                raise ConfigError(f"data.source.sources.{name} is a mixture itself: name its sources here instead.")
        streamed = {part.source.streamed for part in sources.values()}
        if len(streamed) > 1:
            raise ConfigError(
                "data.source.sources: streamed must be the same for all of them, got both true and false: a mixture "
                "is read before training or while training."
            )
        self.sources = sources
        super().__init__(next(iter(sources.values())).source.path, streamed=streamed.pop())

    @property
    def weights(self) -> dict[int, float]:
        """Share of each part that has training prompts, by number."""
        return {number: part.weight for number, (_, part) in enumerate(self._with("train"))}

    def prepare(self) -> None:
        """Let every source make its files."""
        for part in self.sources.values():
            part.source.prepare()

    def check_places(self, splits: Sequence[str]) -> None:
        """Check every source; see ``PromptFolder``."""
        for part in self.sources.values():
            part.source.check_places(splits)

    def has(self, split: str) -> bool:
        """Return whether any source has a split."""
        return bool(self._with(split))

    def split_files(self, split: str) -> list[Path]:
        """Return the files of all sources."""
        return [file for _, part in self._with(split) for file in part.source.split_files(split)]

    def split_file(self, split: str) -> Path:
        """Return the files of a split as one name, for messages."""
        files = [str(part.source.split_file(split)) for _, part in self._with(split)]
        if not files:
            raise DataError(f"data.source.sources: none of {', '.join(self.sources)} has the split {split}.")
        return Path(" + ".join(files))

    def present_files(self) -> dict[str, Path]:
        """Return the first existing file by split."""
        found: dict[str, Path] = {}
        for part in reversed(self.sources.values()):
            found |= part.source.present_files()
        return found

    def read(self, split: str, *, max_image_pixels: int) -> PromptRows:
        """Read and check the rows of every source that has the split."""
        self.split_file(split)
        parts = [
            _numbered(part.source.read(split, max_image_pixels=max_image_pixels), number, name)
            for number, (name, part) in enumerate(self._with(split))
        ]
        return PromptRows(
            prompts=tuple(prompt for rows in parts for prompt in rows.prompts),
            rejections=tuple(rejection for rows in parts for rejection in rows.rejections),
            num_rows=sum(rows.num_rows for rows in parts),
            prints={uid: prints for rows in parts for uid, prints in rows.prints.items()},
            audit=next((rows.audit for rows in parts if rows.audit is not None), None),
        )

    def streamed_parts(self, *, max_image_pixels: int) -> list[StreamedPart]:
        """Return the training shards of every source, in the order of the parts."""
        return [
            replace(streamed, number=number, weight=part.weight, name=name)
            for number, (name, part) in enumerate(self._with("train"))
            for streamed in part.source.streamed_parts(max_image_pixels=max_image_pixels)
        ]

    def _with(self, split: str) -> list[tuple[str, MixedSource]]:
        return [(name, part) for name, part in self.sources.items() if part.source.has(split)]


def _numbered(rows: PromptRows, number: int, name: str) -> PromptRows:
    first = number << PART_BITS
    return replace(
        rows,
        prompts=tuple(
            replace(prompt, uid=first | prompt.uid, columns={"source": name, **prompt.columns})
            for prompt in rows.prompts
        ),
        # Rows are numbered within their part.
        rejections=tuple(replace(rejection, row=first | rejection.row) for rejection in rows.rejections),
        prints={first | uid: prints for uid, prints in rows.prints.items()},
    )
