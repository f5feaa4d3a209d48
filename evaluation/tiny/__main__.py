"""``make evaluate-tiny``: teach the tiny policy three benchmarks, serve it with vLLM, score it with evalscope, compare.

Ends with status 1 when a score differs from the project's own ``test`` command without an explanation.
"""

import argparse
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from evaluation.config import EvaluationConfig, GenerationConfig, HarnessConfig, ServerConfig
from evaluation.driving.harness import check_harness
from evaluation.evaluate import evaluate
from evaluation.outcome import SAMPLES
from evaluation.samples import read_samples
from evaluation.table import markdown
from evaluation.tiny.own_test import Comparison, compare, greedy_accuracy
from evaluation.tiny.policy import base_policy, taught_policy
from evaluation.tiny.questions import SETS
from evaluation.tiny.sets import write_sets

ROOT = Path("runs/evaluation-tiny")
MAX_TOKENS = 48
STEPS, SHORT_STEPS = 250, 40
QUESTIONS, SHORT_QUESTIONS = 96, 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.tiny", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer lessons and questions, to see that it runs")
    parser.add_argument("--seed", type=int, default=0, help="of everything, from the world to the lessons")
    parser.add_argument(
        "--vllm-python", default=os.environ.get("VLLM_PYTHON"),
        help="interpreter that has vLLM; default: VLLM_PYTHON of the environment, else this one",
    )  # fmt: skip
    parser.add_argument("--again", action="store_true", help="forget what an earlier run has finished")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    check_harness(HarnessConfig().python)
    console, started = Console(), time.monotonic()
    root = ROOT / f"{'short' if options.short else 'full'}-s{options.seed}"
    if options.again:
        shutil.rmtree(root, ignore_errors=True)
    steps, number = (SHORT_STEPS, SHORT_QUESTIONS) if options.short else (STEPS, QUESTIONS)
    console.rule("1/3  Questions, and a tiny policy that knows how to answer them")
    write_sets(root / "sets", num_questions=number, num_taught=steps * 32, seed=options.seed)
    policy = taught_policy(
        base_policy(options.seed), root / "sets/teach", root / "policy", steps=steps, seed=options.seed
    )
    console.rule("2/3  vLLM serves it, evalscope scores it")
    config = tiny_evaluation(policy, root, vllm_python=options.vllm_python)
    outcomes = evaluate(config)
    console.print(markdown(config, outcomes), markup=False, soft_wrap=True)
    console.rule("3/3  The project's own test command on the same questions")
    comparisons: list[Comparison] = []
    for outcome in outcomes:
        own = root / "sets/own" / outcome.benchmark
        said = greedy_accuracy(policy, own, max_tokens=MAX_TOKENS, seed=options.seed, runs=root)
        comparisons.append(compare(outcome, read_samples(Path(outcome.folder) / SAMPLES), said))
    for comparison in comparisons:
        console.print(comparison.sentence(), markup=False, soft_wrap=True)
    seconds = round(time.monotonic() - started, 1)
    summary = {"seconds": seconds, "benchmarks": [asdict(comparison) for comparison in comparisons]}
    (root / "summary.json").write_text(json.dumps(summary, indent=2))
    console.print(f"{seconds:.0f} seconds; tables in {config.out}/{config.title}", markup=False)
    return 0 if all(comparison.is_explained for comparison in comparisons) else 1


def tiny_evaluation(policy: Path, root: Path, *, vllm_python: str | None) -> EvaluationConfig:
    """Return the evaluation of the taught policy: greedy, with evalscope's own prompts."""
    flags = {
        "dtype": "float32", "max-model-len": 256, "model-impl": "transformers", "enforce-eager": True,
        "kv-cache-memory-bytes": 64 << 20, "block-size": 32,
    }  # fmt: skip
    greedy = GenerationConfig(
        max_tokens=MAX_TOKENS, temperature=0.0, top_p=1.0, repetition_penalty=1.0, num_runs=1, pass_at=()
    )
    return EvaluationConfig(
        policy=str(policy), benchmarks=SETS, out=str(root / "evaluation"), name="tiny", made_up=True, prompt="harness",
        needs_reasoning=True, generation=greedy, data={name: str(root / "sets" / name) for name in SETS},
        server=ServerConfig(python=vllm_python, flags=flags),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
