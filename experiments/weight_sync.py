"""``make bench-weights``: bytes and seconds of copying weights to vLLM, LoRA merged or apart, over HTTP or gloo.

The policy is a LLaVA with random weights, 30 layers of width 576 above a small vocabulary; LoRA of rank 16 in its
language model learns. The first copy, of all weights, is counted separately. Needs vLLM (make setup-vllm). Writes
runs/bench/weight_sync.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from algorithms import Prompt
from datamodules.shapes.language import WORDS
from models import LoRAConfig, Policy, add_lora
from models.assembly import assemble
from models.assembly.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer
from rollouts import RolloutEngine, SamplingConfig, VLLMEngine, VLLMServerEngine, VLLMSettings

OUT = Path("runs/bench/weight_sync.json")
# Few tokens, because sampling beside LoRA is slow with vLLM's CPU kernels, and the measured copy comes before it.
_SAMPLING = SamplingConfig(group_size=4, temperature=1.0, max_new_tokens=8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each way in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--hidden-size", type=int, default=576)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], help="measure ways with this in their name alone")
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, float]] = {}
    for name, engine in _ways().items():
        if options.only and not any(part in name for part in options.only):
            continue
        policy = _policy(options.layers, options.hidden_size, options.rank)
        rows[name] = measure(engine, policy, rounds=options.rounds)
        engine.shut_down()
        Console().print(name, rows[name])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = {"ways": rows, "settings": vars(options), "threads": torch.get_num_threads()}
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    _print(rows)


def measure(engine: RolloutEngine, policy: Policy, *, rounds: int) -> dict[str, float]:
    """Return sizes and median times of the copies, and of sampling after them.

    Args:
        engine: engine that copies weights.
        policy: policy whose learning weights are changed before each round.
        rounds: number of measured rounds, after the first.
    """
    prompts = [Prompt(uid=uid, key=str(uid), question="how many red ?") for uid in range(2)]
    syncs: list[float] = []
    samples: list[float] = []
    first_bytes = 0
    for version in range(rounds + 1):
        with torch.no_grad():
            for parameter in policy.parameters():
                if parameter.requires_grad:
                    parameter.add_(1e-3)
        engine.sync(policy, version=version)
        assert engine.last_sync is not None  # it has copied weights
        started = time.perf_counter()
        engine.generate(prompts, _SAMPLING, seed=version)
        if version == 0:
            first_bytes = engine.last_sync.num_bytes
        else:
            syncs.append(engine.last_sync.seconds)
            samples.append(time.perf_counter() - started)
    return {
        "first_megabytes": first_bytes / 1e6,
        "megabytes": engine.last_sync.num_bytes / 1e6 if engine.last_sync else 0.0,
        "sync_seconds": statistics.median(syncs),
        "sample_seconds": statistics.median(samples),
    }


def _ways() -> dict[str, RolloutEngine]:
    merged = VLLMSettings(max_model_len=128, cache_megabytes=64)
    apart = replace(merged, lora="adapter")
    return {
        "vLLM, same process, merged": VLLMEngine(merged),
        "vLLM, same process, adapter": VLLMEngine(apart),
        "vLLM, server, merged over HTTP": VLLMServerEngine(merged),
        "vLLM, server, merged over gloo": VLLMServerEngine(replace(merged, weight_transfer="gloo")),
        "vLLM, server, adapter over HTTP": VLLMServerEngine(apart),
    }


def _policy(num_layers: int, hidden_size: int, rank: int) -> Policy:
    torch.manual_seed(0)
    tokenizer: Any = word_tokenizer(WORDS)
    tower, image_processor = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=96, num_layers=3)
    language_model = fresh_language_model(
        len(tokenizer), hidden_size=hidden_size, num_layers=num_layers, eos=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
    )  # fmt: skip
    policy = Policy(*assemble(tower, image_processor, language_model, tokenizer))
    policy.requires_grad_(False)
    add_lora(policy.model, LoRAConfig(rank=rank))
    return policy


def _print(rows: dict[str, dict[str, float]]) -> None:
    table = Table(title="weights to vLLM")
    for heading in ("way", "first, MB", "then, MB", "hand-over, s", "8 completions of 8 tokens, s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, row in rows.items():
        table.add_row(
            name, *(f"{row[key]:.2f}" for key in ("first_megabytes", "megabytes", "sync_seconds", "sample_seconds"))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
