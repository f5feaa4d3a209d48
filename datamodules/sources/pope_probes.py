"""Makes POPE probes (hallucination/pope.py) from any annotated folder; the result is a normal folder of prompts.

    source/val.jsonl    {"question": ..., "image": "images/7.png", "facts": ["red-circle", "blue-star"]}
    probes/val.jsonl    {"id": "val-000000-popular-0", "image": "images/000000.png", "answer": "yes", "facts": [...],
                         "question": "Is there a red-circle in the image?",
                         "category": "popular", "object": "red-circle", "split": "val"}
    probes/official/val_popular.json    the same in POPE's own layout (pope_files.py), for public scorers

Rows with one image and with facts are used; rows about the same image become one. ``category`` is named as in the
published probes (lmms-lab/POPE). The folder's name depends on the settings and on the state of the source's files. So
new settings or new data give a new folder, and all ranks and later runs find the same one.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from algorithms.errors import ConfigError, DataError, check_at_least
from algorithms.records import Prompt
from datamodules.rows.images import FORMATS, EmbeddedImage, ImageFile
from datamodules.sources.drawn_folder import check_root
from datamodules.sources.pope_files import pope_line
from datamodules.sources.prompt_folder import PromptFolder
from hallucination.pope import POPE_SPLITS, POPE_TEMPLATE, PopeSplit, build_probes, check_template, probe_question
from storage import whole_folder

logger = logging.getLogger(__name__)

# Part of the folder's name: increase it when the files of the folder change, so that older folders are not used.
LAYOUT = 2

AnnotatedImages = Mapping[ImageFile | EmbeddedImage, tuple[str, ...]]


class PopeFolder(PromptFolder):
    """Yes/no questions about the objects of another folder's images."""

    def __init__(
        self,
        source: PromptFolder,
        categories: Sequence[PopeSplit] = POPE_SPLITS,
        num_pairs: int = 3,
        template: str = POPE_TEMPLATE,
        seed: int = 0,
        root: str = "runs/data",
        max_image_pixels: int = 50_000_000,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            source: the annotated folder; its facts are the objects.
            categories: how absent objects are chosen; each category has all images.
            num_pairs: for each image and category, largest number of objects that are there; as many are not there.
            template: the question, with ``{object}``, and ``{a}`` for its article.
            seed: seed of all draws.
            root: where such folders are kept.
            max_image_pixels: largest width times height of an image that is used.
        """
        super().__init__(str(Path(root) / "pope"))
        check_template(template, "data.source.template")
        if not categories or not set(categories) <= set(POPE_SPLITS):
            raise ConfigError(
                f"data.source.categories must name one or more of {', '.join(POPE_SPLITS)}, got {list(categories)}."
            )
        check_at_least("data.source.num_pairs", num_pairs, 1, "there would be no probe")
        self.source = source
        self.categories = tuple(categories)
        self.num_pairs, self.template, self.seed, self.max_image_pixels = num_pairs, template, seed, max_image_pixels

    @property
    def folder(self) -> Path:
        """The folder of the probes, named after the settings and the files of the source."""
        # Size and time of change represent the content, which may be gigabytes.
        state = [
            (split, str(file), file.stat().st_size, file.stat().st_mtime_ns)
            for split, file in self.source.present_files().items()
        ]
        settings = [self.categories, self.num_pairs, self.template, self.seed, self.max_image_pixels, state, LAYOUT]
        digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:10]
        base = super().folder
        return base.with_name(f"{base.name}-{digest}")

    def check_places(self, splits: Sequence[str]) -> None:
        """Refuse a root that cannot be written, and check the source; see ``PromptFolder``."""
        check_root("data.source", self.folder)
        # All existing splits of the source become probes, whichever splits are read later.
        self.source.check_places(())

    def prepare(self) -> None:
        """Prepare the source, then write the probes unless they exist; all files or none.

        Raises:
            ConfigError: The source does not exist.
            DataError: The source has no file, or no image with facts.
        """
        self.source.prepare()
        files = self.source.present_files()
        if not files:
            # Raises an error that names the missing files.
            self.source.split_file("val")
        final = self.folder
        if final.is_dir():
            return
        with whole_folder(final) as draft:
            (draft / "images").mkdir()
            num_rows = sum(self._write_split(split, file, draft) for split, file in files.items())
            if num_rows == 0:
                raise DataError(
                    f"no row of {self.source.folder} gives a probe: a row needs one image and a column facts that "
                    "names what it shows, and some image must lack an object of another one."
                )

    def _write_split(self, split: str, file: Path, draft: Path) -> int:
        """Write the probes of one split and return their number."""
        rows = self.source.read(split, max_image_pixels=self.max_image_pixels)
        annotated = annotated_images(rows.prompts)
        logger.info("POPE probes of %s: %d images from %d rows", file, len(annotated), rows.num_rows)
        names = [_save_image(image, draft / "images", split, i) for i, image in enumerate(annotated)]
        probes = self._probe_rows(split, list(annotated.values()), names)
        if probes:
            text = "".join(json.dumps(row) + "\n" for row in probes)
            (draft / f"{split}.jsonl").write_text(text, encoding="utf-8")
            self._write_official(split, probes, draft)
        return len(probes)

    def _write_official(self, split: str, probes: Sequence[dict[str, Any]], draft: Path) -> None:
        """Write one file of POPE's layout for each category; its image names are relative to the folder of images."""
        (draft / "official").mkdir(exist_ok=True)
        for category in self.categories:
            rows = [row for row in probes if row["category"] == category]
            lines = [
                pope_line(number, Path(row["image"]).name, row["question"], row["answer"])
                for number, row in enumerate(rows, start=1)
            ]
            (draft / "official" / f"{split}_{category}.json").write_text("".join(lines), encoding="utf-8")

    def _probe_rows(self, split: str, facts: Sequence[tuple[str, ...]], images: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for category in self.categories:
            # Each category has draws of its own, so that leaving a category out does not change the others.
            probes = build_probes(facts, category, num_pairs=self.num_pairs, seed=self.seed)
            for number, probe in enumerate(probes):
                rows.append(
                    {
                        "id": f"{split}-{category}-{number:06d}",
                        "image": images[probe.image],
                        "question": probe_question(probe.name, self.template),
                        "answer": "yes" if probe.is_there else "no",
                        "facts": list(facts[probe.image]),
                        "category": category,
                        "object": probe.name,
                        "split": split,
                    }
                )
        return rows


def annotated_images(prompts: Sequence[Prompt]) -> AnnotatedImages:
    """Return the images with facts, in the order of the prompts; the facts of several rows about one image are joined.

    Prompts without facts, or with another number of images than one, are left out.
    """
    facts_of: dict[ImageFile | EmbeddedImage, tuple[str, ...]] = {}
    for prompt in prompts:
        if prompt.facts is None or len(prompt.images) != 1:
            continue
        image = prompt.images[0]
        assert isinstance(image, ImageFile | EmbeddedImage)
        known = facts_of.get(image, ())
        # The facts of the first row keep their repeats, which claims are compared with; later rows only add new things.
        facts_of[image] = (*known, *(f for f in prompt.facts if f not in known))
    return facts_of


def _save_image(image: ImageFile | EmbeddedImage, folder: Path, split: str, number: int) -> str:
    """Copy the encoded bytes of an image and return its path relative to the probes' folder."""
    # The encoded bytes are copied: a JPEG that is encoded a second time would be another image.
    with image.open() as stream:
        encoded = stream.read()
    # The content determines the suffix, because an image in a parquet cell has no file name.
    with Image.open(BytesIO(encoded), formats=FORMATS) as opened:
        suffix = (opened.format or "png").lower()
    file = folder / f"{split}-{number:06d}.{suffix}"
    file.write_bytes(encoded)
    return f"{folder.name}/{file.name}"
