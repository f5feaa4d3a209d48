"""The prompts that a monitor asks again and again: read once, rejected rows reported, dealt out to ranks."""

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from algorithms import DataError, Prompt
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import summary, write_report
from datamodules.sources.prompt_folder import PromptFolder
from hallucination.judges import ClaimJudge

logger = logging.getLogger(__name__)


def read_probes(
    trainer: Trainer, source: PromptFolder | None, split: str, judge: ClaimJudge, *, max_probes: int
) -> Sequence[Prompt]:
    """Return this rank's share of the first prompts about which the judge can tell.

    Args:
        trainer: its data module says how large images may be; rejected rows are listed in its log folder.
        source: where the probes lie; None: the source of the data module.
        split: which file of it.
        judge: what it knows nothing about is no probe.
        max_probes: prompts over all ranks.

    Raises:
        DataError: No prompt can be judged.
    """
    data: Any = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
    source = source or data.source
    assert source is not None
    if trainer.local_rank == 0:
        source.prepare()
    trainer.strategy.barrier()
    rows = source.read(split, max_image_pixels=data.reading.max_image_pixels)
    _report(trainer, source.split_file(split), rows)
    probes = list(islice((p for p in rows.prompts if judge.claims(p, "") is not None), max_probes))
    if not probes:
        raise DataError(
            f"{source.split_file(split)} has no probe for callbacks.hallucination: {len(rows.prompts)} of its "
            f"{rows.num_rows} rows are prompts, and {type(judge).__name__} knows nothing about any of them. Give rows "
            "facts (answers for YesNoJudge), or set callbacks.hallucination.probes or judge."
        )
    # Dealt out like validation prompts; every rank gets as many, so that none waits for long.
    return probes[trainer.global_rank :: trainer.world_size]


def _report(trainer: Trainer, file: Path, rows: PromptRows) -> None:
    # Trainer.log_dir talks to the other ranks, so every rank must ask.
    log_dir = trainer.log_dir
    if not rows.rejections or not trainer.is_global_zero:
        return
    told = summary(rows.rejections, rows.num_rows)
    if log_dir is None:
        logger.warning("probes: %s: %s", file, told)
        return
    report = Path(log_dir) / "rejected_probes.json"
    write_report(report, rows.rejections, rows.num_rows)
    logger.warning("probes: %s: %s; see %s", file, told, report)
