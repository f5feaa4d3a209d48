"""``make mpo-table``: base, SFT on chosen completions, MPO, and GRPO after MPO (R1V2, table 3), on held-out prompts.

SFT and MPO start from the same aligned base, see the same pairs in the same order, train the same parts for the same
number of steps; MPO + GRPO is the paper's chain, with the hybrid reward, from MPO's policy.
Writes runs/experiments/mpo_table.json and prints the table.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from experiments.trials import markdown, tested_base, trained_and_tested, write

CONFIG = "configs/tiny/mpo.yaml"
SFT = "configs/ablations/objective/sft.yaml"
HYBRID = ["configs/tiny/grpo.yaml", "configs/tiny/overlays/hybrid.yaml"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every method with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    no_validation = ["--trainer.limit_val_batches=0"]
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        name = f"mpo_table-{seed}"
        base = tested_base(CONFIG, seed, name=f"{name}-base")
        sft = trained_and_tested([CONFIG, SFT], seed, name=f"{name}-sft", flags=no_validation)
        mpo = trained_and_tested([CONFIG], seed, name=f"{name}-mpo", flags=no_validation)
        hybrid = trained_and_tested(HYBRID, seed, name=f"{name}-hybrid", flags=no_validation)
        results = {"base": base, "SFT": sft, "MPO": mpo, "MPO + GRPO": hybrid}
        rows += [{"seed": seed, "method": method, **measured} for method, measured in results.items()]
        write("mpo_table", rows)
    Console().print(markdown(rows), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
