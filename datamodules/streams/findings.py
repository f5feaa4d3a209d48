"""Reports what is missing or duplicate in the rows of one split, before training starts."""

import glob
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from algorithms.errors import DataError
from algorithms.records import Prompt
from datamodules.rows.cells import IMAGE_MARK
from datamodules.rows.prompt_rows import PromptRows
from datamodules.sources.split_files import FURTHER_SUFFIXES, SUFFIXES, is_unread
from rewards import AccuracyReward, WeightedReward, gold_problem

logger = logging.getLogger(__name__)

MAX_UNKNOWN = 0.1
"""Largest share of unknown tokens that counts as a few rare words."""

_ROWS_LOOKED_AT = 64


# A protocol, because data modules must not import lightning_modules.
@runtime_checkable
class ScoresCompletions(Protocol):
    """A module that scores completions; its reward may be of any class."""

    reward: object


def check_answers(rows: PromptRows, where: str, module: object, *, is_trained_on: bool) -> None:
    """Refuse training prompts without answers when accuracy is rewarded; warn of missing and unreadable answers.

    Args:
        rows: the split.
        where: file of the split, for messages.
        module: module whose ``reward`` shows whether accuracy is rewarded; None: there is no module.
        is_trained_on: whether the split is for training; False: only warnings are given.

    Raises:
        DataError: no training prompt has an answer, so accuracy would silently never be rewarded.
    """
    if not rewards_accuracy(module) or not rows.prompts:
        return
    num_missing = sum(not (prompt.answer and prompt.answer.strip()) for prompt in rows.prompts)
    if num_missing == len(rows.prompts):
        found = rows.audit.without_answers() if rows.audit is not None else "no row has an answer"
        message = f"{where}: {found}. Accuracy is rewarded, so name the column of the answer in columns.answer"
        if is_trained_on:
            raise DataError(f"{message}, or switch model.reward.parts.accuracy off.")
        logger.warning("%s.", message)
    elif num_missing:
        logger.warning(
            "%s: %d of %d rows have no answer, so their accuracy is unknown", where, num_missing, len(rows.prompts)
        )
    # Without worker processes: golds that only computer algebra can read are taken as good here.
    unreadable = [
        (prompt.key, problem)
        for prompt in rows.prompts
        if prompt.answer and prompt.answer.strip() and (problem := gold_problem(prompt.answer, prompt.choices))
    ]
    if unreadable:
        logger.warning(
            "%s: %d of %d answers cannot be compared with any completion, so their accuracy is unknown, as that of "
            "row %s, which %s",
            where,
            len(unreadable),
            len(rows.prompts),
            *unreadable[0],
        )


def rewards_accuracy(module: object) -> bool:
    """Return whether a module's reward has a part that compares answers and whose weight is not 0."""
    if not isinstance(module, ScoresCompletions) or not isinstance(module.reward, WeightedReward):
        return False
    return any(isinstance(part.reward, AccuracyReward) and part.weight for part in module.reward.parts.values())


def warn_of_unknown_words(rows: PromptRows, where: str, module: object) -> None:
    """Warn when the policy's tokenizer lacks many words of the prompts, as one with a small vocabulary does."""
    # The class is checked, because the property of an instance would build the policy.
    policy = getattr(module, "loaded_policy") if hasattr(type(module), "loaded_policy") else None  # noqa: B009
    encoder = getattr(policy, "encoder", None)
    tokenizer = getattr(encoder, "tokenizer", None)
    unknown = getattr(tokenizer, "unk_token_id", None)
    if tokenizer is None or unknown is None:
        return
    asked = [prompt.question.replace(IMAGE_MARK, " ") for prompt in rows.prompts[:_ROWS_LOOKED_AT]]
    tokens = [token for text in asked for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    num_unknown = sum(token == unknown for token in tokens)
    if num_unknown > MAX_UNKNOWN * len(tokens):
        logger.warning(
            "%s: the tokenizer of the policy does not know %d of %d tokens of the first %d prompts: it was made for "
            "another language; such as %r",
            where,
            num_unknown,
            len(tokens),
            len(asked),
            asked[0][:80],
        )


def warn_of_hidden_choices(rows: PromptRows, where: str) -> None:
    """Warn when the text of a prompt lacks one of its choices."""
    hidden = [p for p in rows.prompts if p.choices and not all(choice in p.question for choice in p.choices)]
    if hidden:
        logger.warning(
            "%s: %d rows have choices that their prompt does not show, such as %s", where, len(hidden), hidden[0].key
        )


def warn_of_files_beside(files: Sequence[Path]) -> None:
    """Warn of further data files with the name of a split, such as ``train.csv`` beside ``train.jsonl``.

    Args:
        files: files of the split that are read.
    """
    for file in files:
        named = sorted(set(file.parent.glob(f"{glob.escape(file.stem)}.*")) - set(files))
        beside = [other.name for other in named if is_unread(other) or other.suffix in (*SUFFIXES, *FURTHER_SUFFIXES)]
        if beside:
            logger.warning("%s is read, and %s beside it is not", file, ", ".join(beside))


def warn_of_duplicates(rows: PromptRows, where: str) -> None:
    """Warn of rows with equal questions about equal pictures."""
    first: dict[Any, Prompt] = {}
    twice: list[tuple[str, str]] = []
    for prompt in rows.prompts:
        # Spaces and case do not make another question; pictures are compared by their prints.
        asked = (" ".join(prompt.question.lower().split()), prompt.choices, rows.prints.get(prompt.uid))
        other = first.setdefault(asked, prompt)
        if other is not prompt:
            twice.append((prompt.key, other.key))
    if twice:
        shown = ", ".join(f"{this} = {that}" for this, that in twice[:3])
        logger.warning(
            "%s: %d of %d rows ask what an earlier row asks about the same images: %s",
            where,
            len(twice),
            len(rows.prompts),
            shown,
        )
