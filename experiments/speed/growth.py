"""``make bench-growth``: what an update costs as prompts and groups grow, a prompt read once or for each completion.

Forward and backward of the log-probabilities of one group of completions, all weights learning. ``copied`` gives every
completion a prompt of its own, through the same code. Fastest of several repeats; the peak of memory is that of the
process, weights included.

Writes runs/bench/growth.json: a list of cells.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from algorithms import Prompt
from experiments.speed.clock import forget_peak, now, peak_gibibytes
from models import Policy, TinyLanguageModel

OUT = Path("runs/bench/growth.json")
_WORD = "red"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every cell, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--prompt-tokens", type=int, nargs="+", default=[64, 256, 512, 1024, 2048])
    parser.add_argument("--group-sizes", type=int, nargs="+", default=[2, 8, 16], help="at the middle prompt length")
    parser.add_argument("--group-size", type=int, default=8, help="at every prompt length")
    parser.add_argument("--tokens", type=int, default=128, help="of every completion")
    parser.add_argument("--recompute", action="store_true", help="compute activations again in backward")
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    policy = TinyLanguageModel([_WORD], options.hidden_size, options.layers).build()
    policy.set_trainable(["language_model"])
    if options.recompute:
        policy.recompute_activations()
    policy.train()
    middle = sorted(options.prompt_tokens)[len(options.prompt_tokens) // 2]
    sizes = [(length, options.group_size) for length in options.prompt_tokens]
    sizes += [(middle, group) for group in options.group_sizes if (middle, group) not in sizes]
    cells = [cell(policy, length, group, options) for length, group in sizes]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    settings = vars(options) | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    OUT.write_text(json.dumps({"cells": cells, "settings": settings}, indent=1) + "\n")
    table = Table(title="forward and backward of one group")
    for name in cells[0]:
        table.add_column(name, justify="right")
    for one in cells:
        table.add_row(*(f"{value:.4g}" for value in one.values()))
    Console().print(table)


def cell(policy: Policy, length: int, group: int, options: argparse.Namespace) -> dict[str, float]:
    """Return seconds and GiB of both ways, for a prompt of so many tokens and a group of so many completions."""
    frame = policy.encoder.length(_prompt(0, 1)) - 1
    prompts = [_prompt(i, length - frame) for i in range(group)]
    shared = measure(policy, prompts[:1], group, options)
    copied = measure(policy, prompts, group, options)
    answers = group * options.tokens
    return {
        "prompt": length,
        "group": group,
        "shared, s": shared[0],
        "copied, s": copied[0],
        "times faster": copied[0] / shared[0],
        "times fewer tokens": (group * length + answers) / (length + answers),
        "shared, GiB": shared[1],
        "copied, GiB": copied[1],
    }


def measure(policy: Policy, prompts: Sequence[Prompt], group: int, options: Any) -> tuple[float, float]:
    """Return the seconds of the fastest update, and the peak of memory in GiB; NaN where the system does not say."""
    rows = torch.arange(group) % len(prompts)
    ids = torch.full((group, options.tokens), int(policy.encoder.encode(prompts[0]).token_ids[-1]))
    forget_peak()
    seconds: list[float] = []
    for _ in range(options.repeats):
        policy.zero_grad()
        started = now()
        policy.completion_scores(prompts, rows, ids, torch.ones_like(ids, dtype=torch.bool)).logps.sum().backward()
        seconds.append(now() - started)
    return min(seconds), peak_gibibytes() or float("nan")


def _prompt(number: int, words: int) -> Prompt:
    return Prompt(uid=number, key=str(number), question=" ".join([_WORD] * words), answer="1")


if __name__ == "__main__":
    main()
