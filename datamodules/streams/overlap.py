"""Finds evaluation prompts that are also in training: the same picture with the same text, or the same text without
picture.

Pictures are compared by their prints (``rows.image_prints``), texts by runs of words: a text counts as known when four
fifths of its runs of eight words occur in training. GPT-3's decontamination has runs of 13 words (arXiv:2005.14165,
appendix C); they are shorter here because questions are short.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from algorithms.records import Prompt
from datamodules.rows.image_prints import alike_images
from datamodules.rows.prompt_rows import PromptRows
from storage import whole_file

logger = logging.getLogger(__name__)

NUM_WORDS = 8
SHARE = 0.8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Overlap:
    """Common prompts of two splits; pairs are (key in evaluation, key in training)."""

    num_prompts: int
    """Number of evaluation prompts."""

    same: tuple[tuple[str, str], ...]
    """Equal questions about the same picture, or both without picture."""

    same_image: tuple[tuple[str, str], ...]
    """Different questions about the same picture; one pair for each evaluation prompt."""

    def tell(self, where: str, report: Path, *, is_warning: bool = True) -> None:
        """Warn and list the pairs in a file, or only list them."""
        if not self.same and not self.same_image:
            return
        shown = ", ".join(f"{this} = {that}" for this, that in self.same[:3])
        logger.log(
            logging.WARNING if is_warning else logging.INFO,
            "%s: %d of %d prompts are training prompts too%s; %d more share a picture with training; see %s",
            where,
            len(self.same),
            self.num_prompts,
            f" ({shown})" if shown else "",
            len(self.same_image),
            report,
        )
        try:
            with whole_file(report) as draft:
                draft.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            # The data folder may be read-only.
            logger.warning("%s cannot be written: %s", report, error)


def overlap_of(training: PromptRows, evaluation: PromptRows) -> Overlap:
    """Find the evaluation prompts that are also in training."""
    same: dict[str, str] = {}
    alike: dict[str, str] = {}
    for asked, trained in _sharing_pictures(training, evaluation):
        if same_text(asked.question, trained.question):
            same.setdefault(asked.key, trained.key)
        else:
            alike.setdefault(asked.key, trained.key)
    same |= _known_texts(
        [prompt for prompt in training.prompts if not prompt.images],
        [prompt for prompt in evaluation.prompts if not prompt.images],
    )
    return Overlap(
        len(evaluation.prompts), tuple(same.items()), tuple(item for item in alike.items() if item[0] not in same)
    )


def same_text(one: str, other: str) -> bool:
    """Return whether most runs of words of a text occur in the other; short texts must have the same words."""
    these, those = runs_of_words(one), runs_of_words(other)
    return len(these & those) >= SHARE * len(these)


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    """Return the runs of ``NUM_WORDS`` words of a text, in lower case; for a shorter text the whole text."""
    words = tuple(_WORD.findall(text.lower()))
    return {words[start : start + NUM_WORDS] for start in range(max(1, len(words) - NUM_WORDS + 1))}


def _sharing_pictures(training: PromptRows, evaluation: PromptRows) -> list[tuple[Prompt, Prompt]]:
    asked, of_asked = _prints(evaluation)
    trained, of_trained = _prints(training)
    return [(of_asked[i], of_trained[j]) for i, j in alike_images(asked, trained)]


def _prints(rows: PromptRows) -> tuple[list[bytes], list[Prompt]]:
    pairs = [(content, prompt) for prompt in rows.prompts for content in rows.prints.get(prompt.uid, ())]
    return [content for content, _ in pairs], [prompt for _, prompt in pairs]


def _known_texts(training: Sequence[Prompt], evaluation: Sequence[Prompt]) -> dict[str, str]:
    first: dict[tuple[str, ...], str] = {}
    for prompt in training:
        for run in runs_of_words(prompt.question):
            first.setdefault(run, prompt.key)
    found: dict[str, str] = {}
    for prompt in evaluation:
        runs = runs_of_words(prompt.question)
        known = Counter(first[run] for run in runs if run in first)
        if known.total() >= SHARE * len(runs):
            found[prompt.key] = known.most_common(1)[0][0]
    return found
