"""Merges the reward parts of several config files, part by part.

The parser merges settings key by key, but it replaces dictionaries, and the parts of a reward are a dictionary: an
overlay that sets one weight would drop all other parts. So when several files name parts, the parser gets one more file
with the merged parts.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cli.given.settings import Settings, laid_over, nested, value_at


@contextmanager
def with_merged_parts(arguments: Sequence[str], files: Sequence[Settings]) -> Iterator[list[str]]:
    """Yield the arguments, with one more config file when several files name reward parts; null removes a part.

    Args:
        arguments: the command line.
        files: config files of the command line.
    """
    named = [value_at(file.content, "model.reward.parts") for file in files]
    given = [parts for parts in named if isinstance(parts, dict) and parts]
    if len(given) < 2:
        yield list(arguments)
        return
    merged: dict[str, Any] = {}
    for parts in given:
        merged = laid_over(merged, parts)
    # The parser cannot remove a key of a dictionary, so a null part is removed here.
    content = nested(
        "model.init_args.reward.init_args.parts", {name: part for name, part in merged.items() if part is not None}
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reward_parts.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        # Placed after the last config file, and before the flags that follow, which override it.
        end = files[-1].position + 1
        yield [*arguments[:end], f"--config={file}", *arguments[end:]]
