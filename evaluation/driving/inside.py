"""Runs one evalscope task inside evalscope's environment: ``python inside.py TASK.json``.

TASK.json: ``task``, the fields of evalscope's TaskConfig; ``texts``, constants of its modules that are replaced, as
``{"MODULE:NAME": TEXT}``, because some benchmarks there do not take a prompt from outside. Address and key come from
the environment, so that a server on another port can continue with the same cache. This file imports no module of this
project.
"""

# pyright: reportMissingImports=false
import importlib
import json
import sys
from pathlib import Path


def main(path: str) -> None:
    """Replace the texts and run the task."""
    given = json.loads(Path(path).read_text())
    for place, text in given["texts"].items():
        module_name, _, name = place.partition(":")
        module = importlib.import_module(module_name)
        if not isinstance(getattr(module, name, None), str):
            raise SystemExit(f"evalscope has no text {place}: this project is written for evalscope 1.14.1.")
        setattr(module, name, text)
    from evalscope.config import TaskConfig
    from evalscope.run import run_task

    run_task(TaskConfig.from_dict(given["task"]))


if __name__ == "__main__":
    main(sys.argv[1])
