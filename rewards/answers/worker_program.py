"""The program of the process that compares mathematics: requests on standard input, replies on standard output.

One JSON object per line each way: ``{"gold": ..., "answer": ...}`` is answered by ``{"is_same": ...}`` or by
``{"error": ...}``. The first reply comes before the first request and says that the process is ready.

``worker.py`` starts this file by path, so it imports nothing of this project.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any

_MEMORY_BYTES = 4 * 1024**3


def serve(limit_seconds: float) -> None:
    """Answer requests until standard input closes.

    Args:
        limit_seconds: longest time of one comparison, after which the process ends itself.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not write between the replies

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    try:
        _limit_memory()
        is_same("x", "x")  # imports and builds the parser, which would else count as time of the first comparison
        reply({"is_ready": True})
    except Exception as error:
        reply({"error": repr(error)})
        return
    for line in sys.stdin:
        # Without a handler the alarm ends this process: it must not compute on when its parent was killed.
        signal.setitimer(signal.ITIMER_REAL, limit_seconds)
        try:
            reply({"is_same": is_same(**json.loads(line))})
        except Exception as error:
            reply({"error": repr(error)})
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def is_same(gold: str, answer: str) -> bool:
    """Return whether math_verify finds two answers equal.

    Raises:
        ValueError: when it cannot read the gold answer.
    """
    # Imported here, so that an import that fails is a reply and not a process that ends without one.
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy.core.random import seed

    # units=False: the library's list of units contains "ab", "c" and "t", so that "5t" would equal "5".
    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    extraction = [LatexExtractionConfig(boxed_match_priority=0, normalization_config=normalization)]
    seed(0)  # SymPy decides some equalities at random points
    golds, answers = (
        parse(rf"\boxed{{{text}}}", extraction, parsing_timeout=None)  # pyright: ignore[reportArgumentType]
        for text in (gold, answer)
    )
    # Strings only, or nothing at all: no expression was parsed.
    if all(isinstance(parsed, str) for parsed in golds):
        raise ValueError(f"math_verify cannot read the gold answer {gold!r}")
    return verify(golds, answers, timeout_seconds=None)


def _limit_memory() -> None:
    import resource

    # A power tower can fill the machine's memory before the timeout ends it. macOS refuses this limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


if __name__ == "__main__":
    serve(float(sys.argv[1]))
