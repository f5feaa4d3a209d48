"""``make bench-engines``: completion tokens per second of the three engines, on the tiny world's aligned policy.

All engines get the same prompts, groups, temperature and token limit. Rounds alternate between them, so that other
load of the machine slows all of them down. The first copy of weights (all weights) and the later ones (only learning
weights) are timed separately. Needs vLLM (make setup-vllm). Writes runs/bench/engines.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from algorithms import Prompt
from cli.app import run
from cli.built import built_folder
from datamodules import ShapesFolder
from datamodules.rows.prompt_rows import read_prompts
from models import Policy, PretrainedPolicy
from rollouts import RolloutEngine, SamplingConfig, TransformersEngine, VLLMEngine, VLLMServerEngine, VLLMSettings

OUT = Path("runs/bench/engines.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Alternate rounds over the engines and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    settings = VLLMSettings(max_model_len=128, cache_megabytes=64)
    policy, prompts = _policy(), _prompts(options.prompts)
    engines: dict[str, RolloutEngine] = {
        "transformers": TransformersEngine(),
        "vLLM, same process": VLLMEngine(settings),
        "vLLM, server": VLLMServerEngine(settings),
    }
    sampling = SamplingConfig(group_size=options.group_size, temperature=1.0, max_new_tokens=48)
    rows = measure(engines, policy, prompts, sampling, rounds=options.rounds)
    # The server is a process of its own, which would otherwise be killed only when this process ends.
    for engine in engines.values():
        engine.shut_down()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = {"engines": rows, "settings": vars(options), "threads": torch.get_num_threads()}
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    _print(rows)


def measure(
    engines: dict[str, RolloutEngine],
    policy: Policy,
    prompts: Sequence[Prompt],
    sampling: SamplingConfig,
    *,
    rounds: int,
) -> dict[str, dict[str, float]]:
    """Return for each engine medians over ``rounds``; a round before them gives ``start_seconds`` only.

    Args:
        engines: engines by name; the others are compared with ``transformers``.
        policy: policy that all engines sample from.
        prompts: prompts of every round.
        sampling: sampling settings of every round.
        rounds: number of measured rounds.
    """
    # As in tiny GRPO: the vision tower is frozen, and is copied only once.
    policy.set_trainable(["adapter", "language_model"])
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    syncs: dict[str, list[float]] = {name: [] for name in engines}
    starts: dict[str, float] = {}
    for version in range(rounds + 1):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine.sync(policy, version=version)
            synced = time.perf_counter()
            groups = engine.generate(prompts, sampling, seed=version)
            # Speeds are per token, because completions end at different lengths.
            num_tokens = sum(len(completion.token_ids) for group in groups for completion in group)
            # vLLM starts with the first copy of weights, so the time of this copy is in no median.
            if version == 0:
                starts[name] = synced - started
            else:
                syncs[name].append(synced - started)
                speeds[name].append(num_tokens / (time.perf_counter() - synced))
    base = statistics.median(speeds["transformers"])
    return {
        name: {
            "tokens_per_second": statistics.median(speeds[name]),
            "ratio": statistics.median(speeds[name]) / base,
            "sync_seconds": statistics.median(syncs[name]),
            "start_seconds": starts[name],
        }
        for name in engines
    }


def _policy() -> Policy:
    # Validation builds the base models if they are missing.
    quiet = ["--callbacks.progress=null", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]
    run(["validate", "--config", "configs/tiny/grpo.yaml", "--trainer.limit_val_batches=1", *quiet])
    return PretrainedPolicy(path=str(built_folder("configs/tiny/stages/adapter.yaml", 0))).build()


def _prompts(count: int) -> Sequence[Prompt]:
    source = ShapesFolder(num_train=count, num_val=1, num_test=1, root="runs/bench/data")
    source.prepare()
    return read_prompts(source.split_file("train"), source.folder, max_image_pixels=10_000).prompts


def _print(rows: dict[str, dict[str, float]]) -> None:
    table = Table(title="rollout engines")
    for heading in ("engine", "tokens/s", "of the embedded one", "hand over weights, ms", "start, s"):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for name, row in rows.items():
        numbers = (row["tokens_per_second"], row["ratio"], 1000 * row["sync_seconds"], row["start_seconds"])
        table.add_row(name, *("{:,.0f}|{:.2f}|{:.0f}|{:.1f}".format(*numbers).split("|")))
    Console().print(table)


if __name__ == "__main__":
    main()
