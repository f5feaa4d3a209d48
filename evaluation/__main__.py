"""``python -m evaluation --config configs/evaluation/paper.yaml --policy FOLDER --benchmarks pope math_vista``."""

import logging
import sys
from collections.abc import Sequence

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings
from rich.console import Console

from algorithms import ConfigError, DataError
from evaluation.benchmarks import known_names
from evaluation.config import EvaluationConfig
from evaluation.evaluate import evaluate
from evaluation.serving.server import EvaluationError
from evaluation.table import markdown
from storage import FolderInUse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an evaluation; a mistake of the user is one line, with status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        config = parsed(arguments)
        outcomes = evaluate(config)
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    # Another status than for a mistake, because the same command may succeed later.
    except (EvaluationError, FolderInUse) as error:
        sys.stderr.write(f"error: {error}\nThe same command goes on where this one ended.\n")
        return 1
    console = Console()
    console.print(markdown(config, outcomes), markup=False, soft_wrap=True)
    console.print(f"written: {config.out}/{config.title}/table.md, table.json, table.html, samples.html", markup=False)
    return 0


def parsed(arguments: Sequence[str] | None) -> EvaluationConfig:
    """Return the evaluation that a command line asks for."""
    # The meaning of a key is the docstring below it in the dataclass.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(prog="python -m evaluation", description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a file of configs/evaluation")
    parser.add_argument("--benchmarks", nargs="+", type=str, help=f"some of {known_names()}")
    parser.add_class_arguments(EvaluationConfig, skip={"benchmarks"})
    given: Namespace = parser.parse_args(arguments)
    built = parser.instantiate(given)
    fields = {name: value for name, value in vars(built).items() if name not in ("config", "benchmarks")}
    fields["imported"] = tuple(fields["imported"])
    return EvaluationConfig(benchmarks=tuple(given.benchmarks or ()), **fields)


if __name__ == "__main__":
    sys.exit(main())
