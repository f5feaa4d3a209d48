"""``make real``: tower, words, alignment, answers, GRPO, reward model, pairs, SFT, MPO on real photographs, measured.

Writes runs/real/seed-SEED/STAGE.json for every stage, the models beside them, and a page of results. A stage whose file
is there is not run again. Options that are not listed are settings of the stages, such as --trainer.precision=32-true.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from algorithms import ConfigError, DataError
from experiments.real.asked import Asked, asked, check_asked
from experiments.real.estimate import seconds_left, told
from experiments.real.inputs import check_inputs
from experiments.real.page import write_page
from experiments.real.running import run_language_model, run_stage
from storage.folder_lock import FolderInUse, folder_lock

# Measures, and what they are called in a table of 80 letters.
SHOWN = {
    "greedy_accuracy": "greedy", "sampled_accuracy": "sampled", "hallucination_rate": "halluc.",
    "pope_accuracy": "POPE", "pope_f1": "F1", "blind_gap": "blind",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages of every seed, one seed after the other.

    Raises:
        ConfigError: Something is asked for that cannot be, or another process writes to the folder.
        DataError: Photographs or stored numbers cannot be used.
    """
    what = asked(__doc__, arguments)
    check_inputs()
    try:
        with folder_lock(what.chain.root):
            check_asked(what)
            _run(what)
    except FolderInUse as error:
        raise ConfigError(f"{error}: wait for it, or choose another folder with --root.") from error


def _run(what: Asked) -> None:
    console = Console()
    run_language_model(what.chain)
    for seed in what.seeds:
        table = Table(title=f"seed {seed}, scale {what.chain.scale.name}")
        for heading in ("stage", "seconds", "items", *SHOWN.values()):
            table.add_column(heading)
        for number, name in enumerate(what.stages, start=1):
            left = told(seconds_left(what))
            console.rule(f"seed {seed}: {name} ({number}/{len(what.stages)}), {time.strftime('%H:%M:%S')}{left}")
            result = run_stage(what.chain, name, seed)
            measures = result.get("measures", {})
            items = (result.get("items") or measures).get("item_accuracy")
            cells = [measures.get(key) for key in SHOWN]
            table.add_row(
                name, f"{result['seconds']:.0f}", *("" if cell is None else f"{cell:.3f}" for cell in (items, *cells))
            )
            console.print(table)
    page: Path = write_page(what.chain.root, what.chain.root / "results.md", what.chain.root / "pictures")
    console.print(f"Tables, intervals and completions: {page}", soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError) as error:
        sys.exit(f"error: {error}")
