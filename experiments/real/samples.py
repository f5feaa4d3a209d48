"""What the policies say, question by question, beside the pictures that they were shown."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from algorithms import DataError
from datamodules import MosaicFolder
from experiments.real.shares import Result
from experiments.real.tables import AS_IT_CAME, NAMES, by_stage, table
from experiments.real.text_check import CHECKS
from storage import whole_file

# Questions that are shown: the first ones, so that nobody has chosen them.
NUMBER = 6
# Of a picture of 56 x 56 pixels.
_TIMES = 3


def samples(results: Sequence[Result], pictures: str) -> list[str]:
    """Return, for each of the first questions of the first seed, its picture and what every policy says.

    Args:
        results: of stages.
        pictures: folder of the pictures as the page names it.
    """
    first = _of_first_seed(results)
    parts: list[str] = []
    for position, asked in enumerate(_asked(results)):
        shown = {name: result["measures"]["samples"][position] for name, result in first.items()}
        rows = [[NAMES[name], f"`{each['greedy']}`", _code(each.get("sampled"))] for name, each in shown.items()]
        parts += [
            f"**{asked['question']}** (right: {asked['answer']})",
            f"![{asked['key']}]({pictures}/{asked['key']}.png)",
            table(["policy", "greedily", "sampled"], rows),
        ]
    return parts


def text_samples(results: Sequence[Result], language_model: Mapping[str, Any] | None) -> list[str]:
    """Return the answers to the first prompt of each group of the text check, before and after; none without both."""
    policies = {
        NAMES[name]: result["measures"]["text"]["completions"]
        for name, result in _of_first_seed(results).items() if "text" in result["measures"]
    }  # fmt: skip
    if not language_model or not policies:
        return []
    said = {AS_IT_CAME: language_model["text"]["completions"], **policies}
    groups = [check.group for check in CHECKS]
    parts: list[str] = []
    for position in (groups.index(group) for group in dict.fromkeys(groups)):
        rows = [[name, _code(texts[position])] for name, texts in said.items()]
        parts += [f"**{CHECKS[position].question}**", table(["policy", "greedily"], rows)]
    return parts


def draw_pictures(results: Sequence[Result], folder: Path) -> None:
    """Draw the pictures of the questions that are shown, anew from the photographs.

    Raises:
        ConfigError: The photographs are not installed.
        DataError: A picture of today is about another question than the stored numbers: the world was changed since.
    """
    asked = _asked(results)
    if not asked:
        return
    result = next(iter(_of_first_seed(results).values()))
    test = result["test"]
    source = MosaicFolder(
        num_test=len(asked), large_share=test["large_share"], kinds=test["kinds"], seed=result["seed"]
    )
    for told, (row, mosaic) in zip(asked, islice(source.rows("test"), len(asked)), strict=True):
        if (row["id"], row["question"], row["answer"]) != (told["key"], told["question"], told["answer"]):
            raise DataError(
                f"question {told['key']} of the stored numbers is {told['question']!r}, and that of today's world is "
                f"{row['question']!r}: run the chain again, because its pictures cannot be drawn any more."
            )
        picture = source.draw(mosaic)
        size = picture.width * _TIMES, picture.height * _TIMES
        with whole_file(folder / f"{told['key']}.png") as draft:
            picture.resize(size, Image.Resampling.NEAREST).save(draft, format="PNG", optimize=True)


def _of_first_seed(results: Sequence[Result]) -> dict[str, Result]:
    stages = by_stage(results)
    seeds = [result["seed"] for of_stage in stages.values() for result in of_stage]
    found = {name: [result for result in of_stage if result["seed"] == min(seeds)] for name, of_stage in stages.items()}
    return {name: of_stage[0] for name, of_stage in found.items() if of_stage}


def _asked(results: Sequence[Result]) -> list[Mapping[str, str]]:
    first = next(iter(_of_first_seed(results).values()), None)
    return [] if first is None else list(first["measures"]["samples"][:NUMBER])


def _code(text: str | None) -> str:
    """Return a text on one line of code; a long one is cut, and says so."""
    whole = " ".join((text or "").split()).replace("`", "'")
    cut = whole if len(whole) <= 200 else f"{whole[:200]} ..."
    return f"`{cut}`" if cut else ""
