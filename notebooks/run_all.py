"""``make notebooks``: run every NN_name.py of this folder from scratch, and write NN_name.ipynb with its outputs.

The .py files are the sources: cells begin with ``# %%``, as jupytext, VS Code and PyCharm read them.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
SECONDS_PER_CELL = 1200  # the first one may build the tiny policy


def sources() -> list[Path]:
    """Return the notebooks as scripts."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def read(source: Path) -> NotebookNode:
    """Return a notebook without outputs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        # Numbers in place of random ids, so that a notebook whose outputs stay the same is the same file.
        cell.id, cell.metadata = f"cell-{number}", {}
    return notebook


def executed(source: Path) -> NotebookNode:
    """Return a notebook with its outputs, run as Jupyter does: in this folder.

    Raises:
        nbclient.exceptions.CellExecutionError: where a cell fails.
    """
    notebook = read(source)
    NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        coalesce_streams=True,
        # It warns that messages are not encrypted, and they do not leave the machine.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    ).execute()
    for cell in notebook.cells:
        # Times of execution.
        cell.metadata = {}
        for output in cell.get("outputs", []):
            _clean(output)
    return notebook


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named notebooks, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the number or the name of a notebook; all of them without any")
    options = parser.parse_args(arguments)
    # A kernel in which nothing is fetched and no threads are started by tokenizers says nothing of it either.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for source in sources():
        if options.names and not any(source.stem.startswith(name) for name in options.names):
            continue
        started = time.perf_counter()
        nbformat.write(executed(source), source.with_suffix(".ipynb"))
        sys.stdout.write(f"{source.stem}: {time.perf_counter() - started:.0f} s\n")


def _clean(output: NotebookNode) -> None:
    """Leave out what differs between machines, and the second form of a picture."""
    if output.output_type == "stream":
        output.text = re.sub(r"[^\s(]*/ipykernel_\d+/\d+\.py", "a cell", output.text.replace(f"{HERE.parent}/", ""))
    elif "image/png" in output.get("data", {}):
        output.data.pop("image/jpeg", None)


if __name__ == "__main__":
    main()
