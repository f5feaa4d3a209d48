"""The prompts that a monitor asks again and again: read once, checked, and divided among ranks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from lightning.pytorch import Trainer

from algorithms import DataError, Prompt, check_at_least
from callbacks.prompt_data import prompt_data
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import summary, write_report
from datamodules.sources.prompt_folder import PromptFolder
from hallucination import Benchmark, ClaimJudge

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Which prompts are probes, how often each is sampled, and which groups have rates of their own."""

    source: PromptFolder | None = None
    """Any folder of prompts with facts or answers; null: the folder of the training data."""

    split: Literal["train", "val", "test"] = "val"
    """The split of the source that is read."""

    num_probes: int = 64
    """Prompts of a round, over all ranks."""

    num_samples: int = 2
    """Completions of each prompt, at the training temperature."""

    benchmark: Benchmark | None = None
    """Benchmark whose scores are logged too, over the probes that are its questions; null:
    ``model.evaluation.benchmark``. A question that is sampled several times counts each time; for HallusionBench it is
    right when all its answers are right."""

    kind_column: str = "kind"
    """Column of a prompt with the kind of its question; each kind has a rate of its own in the log."""

    length_bounds: tuple[int, ...] = (16, 32)
    """Completion lengths in tokens that separate ``rate_length_0``, ``rate_length_1``, ... in the log."""

    seed: int = 4321
    """Seed of the completions, the same in every round, so that only the policy differs between two rounds."""

    def __post_init__(self) -> None:
        check_at_least("callbacks.hallucination.probes.num_probes", self.num_probes, 1)
        check_at_least("callbacks.hallucination.probes.num_samples", self.num_samples, 1)


def read_probes(trainer: Trainer, config: ProbeConfig, judge: ClaimJudge) -> Sequence[Prompt]:
    """Return this rank's share of the first prompts that the judge has facts about; a collective call.

    Args:
        trainer: its data module bounds the size of images; rejected rows are listed in its log folder.
        config: source and number of the probes.
        judge: judges claims; prompts whose claims it cannot judge are left out.

    Raises:
        DataError: when no prompt can be judged.
    """
    source = config.source or prompt_data(trainer).source
    rows = held_out_rows(trainer, source, config.split, "rejected_probes.json")
    file = source.split_file(config.split)
    # For an empty completion the judge returns None when it has no facts, else an empty list.
    judged = (prompt for prompt in rows.prompts if judge.claims(prompt, "") is not None)
    probes = list(islice(judged, config.num_probes))
    if not probes:
        raise DataError(
            f"{file} has no probe for callbacks.hallucination: {len(rows.prompts)} of its {rows.num_rows} rows are "
            f"prompts, and {type(judge).__name__} can judge none of them. Give rows facts (answers for YesNoJudge), or "
            "set callbacks.hallucination.probes.source or callbacks.hallucination.judge."
        )
    # With two ranks each gets every second prompt. The shares differ by at most one, so no rank waits long.
    return probes[trainer.global_rank :: trainer.world_size]


def held_out_rows(trainer: Trainer, source: PromptFolder, split: str, report: str) -> PromptRows:
    """Return the rows of a split as the run would ask them, and report rejected rows; a collective call.

    Args:
        trainer: its data module has the largest size of images and the template of questions.
        source: folder of the prompts.
        split: "train", "val" or "test".
        report: name of the file in the log folder that lists rejected rows.
    """
    reading = prompt_data(trainer).reading
    # One process of each machine makes the files; the other processes wait.
    if trainer.local_rank == 0:
        source.prepare()
    trainer.strategy.barrier()
    rows = source.read(split, max_image_pixels=reading.max_image_pixels)
    _report(trainer, source.split_file(split), rows, report)
    return replace(rows, prompts=tuple(map(reading.template.applied, rows.prompts)))


def _report(trainer: Trainer, file: Path, rows: PromptRows, name: str) -> None:
    # Trainer.log_dir is broadcast from rank 0, so every rank has to read it before any returns.
    log_dir = trainer.log_dir
    if not rows.rejections or not trainer.is_global_zero:
        return
    rejected = summary(rows.rejections, rows.num_rows)
    if log_dir is None:
        logger.warning("probes: %s: %s", file, rejected)
        return
    report = Path(log_dir) / name
    write_report(report, rows.rejections, rows.num_rows)
    logger.warning("probes: %s: %s; see %s", file, rejected, report)
