"""``make engines-figure``: the same tiny GRPO run with other engines and on two processes; the curves should agree.

    transformers         one process, the embedded engine
    vLLM                 one process, vLLM in it
    vLLM server          one process and a server
    two processes        FSDP2 over two processes, the embedded engine, half of the prompts each

Every run is a command of its own, as a user would type it. Needs vLLM (make setup-vllm). Writes
runs/experiments/engines/*.json, docs/figures/engines.png, and prints the table. A run that is there already is not
repeated.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from run_records import draw_panels, read_curves

ROOT, FIGURES = Path("runs/experiments"), Path("docs/figures")
CONFIG = "configs/tiny/grpo.yaml"
FOLDER = ROOT / "engines"
SMALL = ["--model.engine.settings.max_model_len=128", "--model.engine.settings.cache_megabytes=64"]
METHODS: dict[str, list[str]] = {
    "transformers": [],
    "vLLM": ["--config=configs/engines/vllm.yaml", *SMALL],
    "vLLM server": ["--config=configs/engines/vllm_server.yaml", *SMALL],
    "two processes": ["--config=configs/hardware/cpu2.yaml", "--data.init_args.prompts_per_rollout=16"],
}
PANELS = {
    "sampled accuracy (validation)": "val/sampled_accuracy",
    "greedy accuracy (validation)": "val/greedy_accuracy",
    "hallucination rate (validation)": "val/hallucination_rate",
    "largest gap between engine and learner, nats": "engine/logp_gap_max",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args(arguments)
    for seed in options.seeds:
        for method in METHODS:
            _run(method, seed, options.steps)
    kept = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]
    trials = sorted(kept, key=lambda trial: (trial["seed"], list(METHODS).index(trial["method"])))
    Console().print(_table(trials), highlight=False, soft_wrap=True)
    panels = {
        title: {
            method: [[(s, v) for s, v, _ in t["curves"].get(tag, [])] for t in trials if t["method"] == method]
            for method in METHODS
        }
        for title, tag in PANELS.items()
    }
    draw_panels(panels, FIGURES / "engines.png")


def _run(method: str, seed: int, steps: int) -> None:
    name = f"engines_{method.lower().replace(' ', '_')}-{seed}"
    path = FOLDER / f"{name}.json"
    if path.is_file():
        return
    shutil.rmtree(ROOT / name, ignore_errors=True)
    flags = [
        "--config", CONFIG, *METHODS[method], "--seed_everything", str(seed), f"--trainer.max_steps={steps}",
        f"--trainer.val_check_interval={steps // 10}", f"--trainer.logger.save_dir={ROOT.parent}",
        f"--trainer.logger.name={ROOT.name}", f"--trainer.logger.version={name}", "--callbacks.completions=null",
        "--callbacks.progress=null", "--trainer.enable_progress_bar=false", "--callbacks.layout=null",
        "--model.evaluation.num_samples=4", "--model.evaluation.pass_at=[4]",
    ]  # fmt: skip
    subprocess.run([sys.executable, "train.py", "fit", *flags], check=True)
    tags = [*PANELS.values(), "time/rollout_seconds", "engine/sync_seconds"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"method": method, "seed": seed, "curves": read_curves(ROOT / name, tags)}) + "\n")


def _table(trials: Sequence[dict[str, Any]]) -> str:
    lines = ["| seed | engine | " + " | ".join(PANELS) + " |", "|---" * (2 + len(PANELS)) + "|"]
    for trial in trials:
        last = [trial["curves"][tag][-1][1] for tag in PANELS.values()]
        cells = [f"{100 * value:.1f} %" for value in last[:3]] + [f"{last[3]:.1e}"]
        lines.append(f"| {' | '.join([str(trial['seed']), trial['method'], *cells])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
