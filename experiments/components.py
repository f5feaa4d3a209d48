"""``make components-table``: which parts learn in GRPO (R1V2, table 4), on three seeds with the same budget.

Writes runs/experiments/components.json and prints the table. A seed that is there already is not run again.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from experiments.trials import ROOT, markdown, trained_and_tested, write

CONFIG = "configs/tiny/grpo.yaml"
PARTS = {
    "LLM + adapter": "configs/ablations/parts/llm_and_adapter.yaml",
    "adapter + tower": "configs/ablations/parts/adapter_and_tower.yaml",
    "adapter only": "configs/ablations/parts/adapter_only.yaml",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every choice of parts with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    path = ROOT / "components.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    for seed in options.seeds:
        for parts, overlay in PARTS.items():
            if not any(row["seed"] == seed and row["parts"] == parts for row in rows):
                flags = ["--trainer.limit_val_batches=0", "--callbacks.completions=null"]
                name = f"components-{seed}-{parts.replace(' ', '').replace('+', '_')}"
                tested = trained_and_tested([CONFIG, overlay], seed, name=name, flags=flags)
                rows.append({"seed": seed, "parts": parts, **tested})
                write("components", rows)
    Console().print(markdown(rows), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
