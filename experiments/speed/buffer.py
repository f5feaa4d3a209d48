"""``make bench-buffer``: seconds to add and to draw 256 samples, for buffers of a thousand to a million samples.

Writes runs/bench/buffer.json: milliseconds per operation and bytes per sample by size, and the growth from the smallest
to the largest.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from algorithms import BufferConfig, ExperienceBatch, SelectiveSampleBuffer, position_generator

OUT = Path("runs/bench/buffer.json")
SIZES = (1_000, 10_000, 100_000, 1_000_000)
BATCH, TOKENS, REPEATS = 256, 24, 20


def main() -> None:
    """Fill buffers of every size and time them."""
    rows = [measure(size) for size in SIZES]
    table = Table(title=f"Selective Sample Buffer, {BATCH} samples of {TOKENS} tokens, milliseconds (median)")
    for heading in ("samples", "add to a full buffer", "draw", "drop stale", "bytes per sample"):
        table.add_column(heading, justify="right")
    for row in rows:
        times = [f"{row[key]:.2f}" for key in ("add_ms", "draw_ms", "forget_ms")]
        table.add_row(f"{row['samples']:,.0f}", *times, f"{row['bytes_per_sample']:.0f}")
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    growth = {key: rows[-1][key] / rows[0][key] for key in ("add_ms", "draw_ms", "forget_ms")}
    OUT.write_text(json.dumps({"rows": rows, "growth": growth, "torch": torch.__version__}, indent=1) + "\n")


def measure(size: int) -> dict[str, float]:
    """Return the medians for one size."""
    buffer = SelectiveSampleBuffer(BufferConfig(capacity=size, max_age=10**9))
    for start in range(0, size, 50_000):
        buffer.add(samples(min(50_000, size - start), start))
    return {
        "samples": float(len(buffer)),
        "add_ms": median_ms(lambda i: buffer.add(samples(BATCH, i))),
        "draw_ms": median_ms(lambda i: buffer.draw(BATCH, generator=position_generator(0, "draw", i))),
        "forget_ms": median_ms(lambda i: buffer.forget_stale(1)),
        "bytes_per_sample": buffer.num_bytes / size,
    }


def samples(number: int, seed: int) -> ExperienceBatch:
    """Return samples with random advantages."""
    generator = torch.Generator().manual_seed(seed)
    uids = torch.arange(number)
    return ExperienceBatch(
        prompt_uids=uids,
        group_ids=uids // 8,
        completion_ids=torch.ones(number, TOKENS, dtype=torch.long),
        is_completion=torch.ones(number, TOKENS, dtype=torch.bool),
        behavior_logps=torch.zeros(number, TOKENS),
        advantages=torch.randn(number, generator=generator),
        policy_versions=torch.zeros(number, dtype=torch.long),
        is_replay=torch.zeros(number, dtype=torch.bool),
        weights=torch.ones(number),
    )


def median_ms(operation: Callable[[int], object]) -> float:
    """Return the median over repeats, without the first ones."""
    times: list[float] = []
    for i in range(REPEATS + 3):
        started = time.perf_counter()
        operation(i)
        times.append(time.perf_counter() - started)
    return 1000.0 * statistics.median(times[3:])


if __name__ == "__main__":
    main()
