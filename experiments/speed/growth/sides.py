"""One side of a cell in this process: so a process of its own has a peak of memory of its own."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from datamodules import ShapesFolder
from experiments.speed import grpo, mpo
from experiments.speed.clock import forget_peak, peak_gibibytes
from experiments.speed.growth.cells import Cell
from experiments.speed.subjects import lengthen

Side = Literal["ours", "trl"]
SIDES: tuple[Side, ...] = ("ours", "trl")
_WARM_UP = 1


def measure_side(cell: Cell, side: Side, policy: str) -> dict[str, Any]:
    """Return what a step of a cell takes on one side.

    Args:
        cell: the setting.
        side: this project or TRL.
        policy: folder of a policy of the cell's size.

    Returns:
        Seconds and processor seconds of a step (``step``, ``processor_step``), GiB at the peak of the run and before
        it (``gibibytes``, ``idle_gibibytes``; None where the system does not say), for GRPO ``parts`` in seconds, for
        ours ``update_tokens``; the load average of the machine at both ends.
    """
    load = [os.getloadavg()[0]]
    forget_peak()
    idle = peak_gibibytes()
    with tempfile.TemporaryDirectory() as root:
        found = (_grpo if cell.kind == "grpo" else _mpo)(cell, side, policy, Path(root))
    load.append(os.getloadavg()[0])
    return {**found, "idle_gibibytes": idle, "load": load}


def _grpo(cell: Cell, side: Side, policy: str, root: Path) -> dict[str, Any]:
    options = argparse.Namespace(
        completions=cell.group, group_size=cell.group, tokens=cell.answer, steps=cell.steps, warm_up=_WARM_UP,
        precision="32-true", recompute=cell.recompute,
    )  # fmt: skip
    folder = ShapesFolder(num_train=cell.steps, num_val=1, num_test=1, root=str(root))
    folder.prepare()
    lengthen(folder.split_file("train"), lambda: grpo.prompts_of(folder), policy, cell.prompt)
    if side == "ours":
        return grpo.measure_ours(policy, folder, options)
    return grpo.measure_trl(policy, folder, options, micro_batch=cell.group)


def _mpo(cell: Cell, side: Side, policy: str, root: Path) -> dict[str, Any]:
    options = argparse.Namespace(
        prompt_tokens=cell.prompt, tokens=cell.answer, pairs_per_batch=cell.group, steps=cell.steps, warm_up=_WARM_UP,
        recompute=cell.recompute,
    )  # fmt: skip
    pairs = mpo.drawn_pairs(root, policy, options, num_train=cell.steps * cell.group)
    return (mpo.measure_ours if side == "ours" else mpo.measure_trl)(policy, pairs, options)
