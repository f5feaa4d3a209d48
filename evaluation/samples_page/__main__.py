"""The command: ``python -m evaluation.samples_page A/samples.jsonl [B/samples.jsonl] --out page.html``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from algorithms import ConfigError, DataError
from evaluation.predictions import read_run
from evaluation.samples_page.page import Run, write_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page; an error that a user can repair ends the command with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.samples_page",
        description="A page of samples: pictures, questions, completions with their claims, verdicts and reasons.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="samples.jsonl of an evaluation or predictions.jsonl of a run; a second one is shown beside the first",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PAGE", help="the HTML file to write")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call the runs; default: their folders")
    given = parser.parse_args(arguments)
    try:
        page = pages(given.files, given.out, given.names)
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
    sys.stdout.write(f"{page}\n")


def pages(files: Sequence[Path], out: Path, names: Sequence[str] | None) -> str:
    """Write the page of one or two files, and return a sentence about it."""
    if len(files) > 2:
        raise ConfigError(f"the page shows one run or two side by side, got {len(files)} files.")
    if names is not None and len(names) != len(files):
        raise ConfigError(f"--names must name each of the {len(files)} files, got {len(names)} names.")
    shown = names or _folder_names(files)
    runs = [Run(name, file.parent, read_run(file)) for name, file in zip(shown, files, strict=True)]
    write_page(out, runs)
    return f"{out}: {' and '.join(f'{len(run.samples)} samples of {run.name}' for run in runs)}"


def _folder_names(files: Sequence[Path]) -> list[str]:
    found = [file.absolute().parent.name for file in files]
    # The two files may lie in one folder, or in two folders with the same name.
    return found if len(set(found)) == len(found) else [str(file) for file in files]


if __name__ == "__main__":
    main()
