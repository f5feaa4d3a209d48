"""``make bench-memory``: peak memory of token log-probabilities with a large vocabulary, chunked and not.

V = 152,000 words, T = 4,096 tokens; both ways, each in a process of its own.

Forward and backward through the language-model head alone; its weight learns too. Writes
runs/bench/logprob_memory.json: peak bytes above what inputs and gradients of the inputs take, and the ratio.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from algorithms import token_scores

OUT = Path("runs/bench/logprob_memory.json")


def main() -> None:
    """Measure both ways, or one of them in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["whole", "chunked"], default=None, help="measure one way, in this process")
    parser.add_argument("--vocabulary", type=int, default=152_000)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--hidden", type=int, default=128)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.vocabulary, options.tokens, options.hidden)))  # noqa: T201
        return
    sizes = [f"--{key}={getattr(options, key)}" for key in ("vocabulary", "tokens", "hidden")]
    results = {}
    for way in ("whole", "chunked"):
        command = [sys.executable, "-m", "experiments.speed.logprob_memory", f"--way={way}", *sizes]
        results[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ratio = results["whole"]["peak_bytes"] / results["chunked"]["peak_bytes"]
    summary = {**results, "memory_ratio": round(ratio, 2), "settings": vars(options)}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))  # noqa: T201


def measure(way: str, vocabulary: int, tokens: int, hidden_size: int) -> dict[str, float]:
    """Return the growth of the process's peak memory in bytes, the seconds, and a checksum of the result."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, hidden_size, generator=generator).requires_grad_()
    weight = (0.05 * torch.randn(vocabulary, hidden_size, generator=generator)).requires_grad_()
    ids = torch.randint(vocabulary, (tokens,), generator=generator)
    # Room for the gradients is needed either way.
    hidden.grad, weight.grad = torch.zeros_like(hidden), torch.zeros_like(weight)
    before = peak_bytes()
    started = time.perf_counter()
    if way == "whole":
        logps = (hidden @ weight.T).log_softmax(-1).gather(-1, ids[:, None]).squeeze(-1)
    else:
        logps = token_scores(hidden, weight, None, ids, banned_ids=torch.tensor([0])).logps
    logps.sum().backward()
    return {
        "peak_bytes": peak_bytes() - before,
        "seconds": round(time.perf_counter() - started, 2),
        "gradient_norm": round(hidden.grad.norm().item(), 4),
    }


def peak_bytes() -> int:
    """Return the largest memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
