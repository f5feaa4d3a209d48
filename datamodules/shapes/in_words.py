"""The shapes world in words: the same scenes and questions, without pictures."""

from collections.abc import Collection, Iterator
from typing import Any

from algorithms import ConfigError
from datamodules.shapes.folders import LevelName, ShapesDrawing, ShapesFolder
from datamodules.shapes.language import picture_in_words
from datamodules.shapes.scene import Scene


class ShapesInWords(ShapesFolder):
    """The questions of ``ShapesFolder``; in some splits nine words replace the picture."""

    def __init__(
        self,
        level: LevelName = "medium",
        num_train: int = 2048,
        num_val: int = 256,
        num_test: int = 512,
        seed: int = 0,
        splits: Collection[str] = ("train", "val", "test"),
        root: str = "runs/data",
    ) -> None:
        """Describe the folder; nothing is drawn yet.

        Args:
            level: difficulty, as for ``ShapesFolder``.
            num_train: training prompts.
            num_val: validation prompts.
            num_test: test prompts.
            seed: seed of the world; scenes and questions are those of ``ShapesFolder`` with the same seed.
            splits: splits (of train, val and test) in words; the other splits have pictures. So a policy can learn from
                one form and be measured on the other.
            root: where such folders are kept.

        Raises:
            ConfigError: for an unknown split.
        """
        super().__init__(level=level, num_train=num_train, num_val=num_val, num_test=num_test, seed=seed, root=root)
        unknown = sorted(set(splits) - set(self.num_rows))
        if unknown:
            raise ConfigError(f"data.source.splits holds {', '.join(unknown)}; it may hold {', '.join(self.num_rows)}.")
        self.splits = sorted(splits)
        settings = {"level": level, "seed": seed, **self.num_rows, "splits": self.splits}
        ShapesDrawing.__init__(self, "shapes_in_words", root, settings)

    def rows(self, split: str) -> Iterator[tuple[dict[str, Any], Scene | None]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Yield question rows, with the scene where there is a picture to draw, else with None."""
        for row, scene in super().rows(split):
            if split in self.splits:
                told = {key: value for key, value in row.items() if key != "image"}
                yield {**told, "question": f"{picture_in_words(scene)} {row['question']}"}, None
            else:
                yield row, scene
