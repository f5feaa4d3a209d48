"""``make bench-growth``: how seconds and memory of a step grow with model, prompt, group and answer, here and in TRL.

A list of cells, each of them one setting in which a step of GRPO or MPO is measured, here and in TRL's trainer on the
same policy, pictures, lengths and threads, one after the other. Each side runs in a process of its own, so that its
peak of memory is its own. A cell's numbers are written when it is done; a cell that is there is not measured again, so
the command may be stopped and started at will.

By default the cells that take about ten minutes on two free cores; ``--all`` measures the long ones as well, among them
SmolLM2-135M (make setup-real). ``--cells`` names some. Writes one JSON file for each cell and two figures into
runs/bench/growth. Ratios are of processor seconds, which other programs on the machine disturb less than seconds.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from rich.console import Console

from experiments.speed.growth.arithmetic import estimated_seconds, matrix_product_speed, passes
from experiments.speed.growth.cells import Cell, every_cell, is_short
from experiments.speed.growth.figures import draw
from experiments.speed.growth.measured_cells import MeasuredCell, as_measured, read_all, write
from experiments.speed.growth.sides import SIDES, Side, measure_side
from experiments.speed.subjects import MODELS, policy_of

OUT = Path("runs/bench/growth")
Measure = Callable[[Cell, Path], MeasuredCell]
# What a new process has imported before it begins: once for all of them, and not a part of any peak.
_IMPORTED = ["experiments.speed.growth.sides", "trl.trainer.grpo_trainer", "trl.trainer.dpo_trainer"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, one cell after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="the long cells as well")
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="only these; --list has the names")
    parser.add_argument("--list", action="store_true", help="print what would be measured, and the estimates, and end")
    parser.add_argument("--folder", type=Path, default=OUT, help="of the cells that are there and of new ones")
    options = parser.parse_args(arguments)
    known = {cell.name: cell for cell in every_cell()}
    unknown = sorted(set(options.cells or ()) - set(known))
    if unknown:
        parser.error(f"--cells {unknown[0]}: there is no such cell. There are {', '.join(known)}.")
    cells = [known[name] for name in options.cells] if options.cells else list(known.values())
    chosen = cells if options.all or options.cells else [cell for cell in cells if is_short(cell)]
    missing = announce(chosen, options.folder)
    if not options.list:
        run(missing, options.folder, measure)
        draw(read_all(options.folder, list(known.values())), options.folder)


def announce(chosen: Sequence[Cell], folder: Path) -> list[Cell]:
    """Return the cells that are not there yet, and print how long they will take."""
    there = read_all(folder, chosen)
    missing = [cell for cell in chosen if cell.name not in there]
    speed = matrix_product_speed()
    seconds = {cell.name: estimated_seconds(cell, speed) for cell in missing}
    console = Console(highlight=False, soft_wrap=True)
    for name, estimate in seconds.items():
        console.print(f"{name}: about {estimate:.0f} s")
    console.print(
        f"{len(missing)} of {len(chosen)} cells to measure, {len(there)} are in {folder}: about "
        f"{sum(seconds.values()) / 60:.0f} minutes by the arithmetic, right within a factor of two on a free machine "
        f"({torch.get_num_threads()} threads, {speed / 1e9:.0f} GFLOP/s)."
    )
    return missing


def run(missing: Sequence[Cell], folder: Path, measure: Measure) -> None:
    """Measure cells one after the other; each is written when it is done."""
    console = Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as policies:
        for number, cell in enumerate(missing, start=1):
            measured = measure(cell, Path(policies))
            write(measured, folder)
            ours, trl = (measured.value(side, "processor_step") for side in SIDES)
            console.print(
                f"{number}/{len(missing)} {cell.name}: {ours:.2f} processor seconds here, {trl:.2f} in TRL, ratio "
                f"{measured.ratio():.2f} (by arithmetic {passes(cell).ratio:.2f}); {measured.seconds:.0f} s in all"
            )


def measure(cell: Cell, policies: Path) -> MeasuredCell:
    """Measure one cell, each side in a new process; policies are kept in a folder by size."""
    started = time.perf_counter()
    root = policies / cell.model
    if not root.is_dir():
        root.mkdir()
        _in_new_process(policy_of, MODELS[cell.model], root)
    sides: dict[Side, Any] = {side: _in_new_process(measure_side, cell, side, str(root / "policy")) for side in SIDES}
    return as_measured(cell, sides, time.perf_counter() - started, torch.get_num_threads())


def _in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process that has done nothing else but import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


if __name__ == "__main__":
    main()
