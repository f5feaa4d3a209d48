r"""The program of a process that compares expressions: requests on standard input, replies on standard output.

    parent  --pipes-->  keeper: has SymPy loaded, forks  -->  child: compares, may hang and be killed

One JSON object per line each way: ``{"kind", "gold", "answer", "tolerance", "seconds", "wall_seconds"}`` is answered
by ``{"is_same": ...}`` or ``{"error": ..., "detail": ...}`` with the error ``unreadable_gold``, ``unreadable_answer``,
``timed_out`` or ``failed``. The first reply comes before the first request and says that the keeper is ready.

The child ends itself by an alarm that works even during C code. So a hanging comparison costs its time limit and the
few milliseconds of a new fork, and not the seconds of importing SymPy again. The keeper ends with its parent.

``workers.py`` starts this file by path, so it imports nothing of this project.
"""

import contextlib
import json
import os
import re
import resource
import select
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_IS_CHILD_BUSY, _IS_CHILD_IDLE = b"(", b")"


def keep(memory_megabytes: int) -> None:
    """Fork one child after another until standard input closes.

    Args:
        memory_megabytes: address space of a child, in MiB.
    """
    replies = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not write between the replies
    try:
        Comparison.load()
    except Exception as error:
        _reply(replies, {"error": "failed", "detail": repr(error)})
        return
    _reply(replies, {"is_ready": True})
    while True:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _serve(replies, write_end, memory_megabytes)
        os.close(write_end)
        state = _state_at_death(read_end, child)
        os.close(read_end)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return  # standard input has closed
        if state == _IS_CHILD_BUSY:
            is_alarm = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF)
            _reply(replies, {"error": "timed_out" if is_alarm else "failed", "detail": f"exit status {status}"})


def _state_at_death(read_end: int, child: int) -> bytes:
    """Wait for the end of the child, and end it when the parent has gone; return the last state that it wrote."""
    state = _IS_CHILD_IDLE
    poller = select.poll()
    poller.register(read_end, select.POLLIN)
    poller.register(0, 0)  # events only when the other end has closed
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == 0:
                # A busy child would not notice that the parent has gone.
                os.kill(child, signal.SIGKILL)
                os._exit(0)
            written = os.read(read_end, 64)
            if not written:
                return state
            state = written[-1:]


def _serve(replies: int, states: int, memory_megabytes: int) -> None:
    """Answer requests until standard input closes; this is the child, which never returns."""
    _limit_memory(memory_megabytes)
    requests = b""
    while data := os.read(0, 1 << 16):
        requests += data
        if not requests.endswith(b"\n"):
            continue
        request, requests = json.loads(requests), b""
        os.write(states, _IS_CHILD_BUSY)
        _set_alarms(request.pop("seconds"), request.pop("wall_seconds"))
        try:
            reply: dict[str, Any] = {"is_same": Comparison(**request).is_same()}
        except Unreadable as error:
            reply = {"error": error.side, "detail": str(error)}
        except Exception as error:
            reply = {"error": "failed", "detail": repr(error)[:500]}
        _set_alarms(0.0, 0.0)
        os.write(states, _IS_CHILD_IDLE)
        _reply(replies, reply)
    os._exit(0)


def _set_alarms(seconds: float, wall_seconds: float) -> None:
    """End this process after so many seconds of processor time or on the wall; 0 switches the alarms off."""
    # An alarm without a handler ends the process. It counts processor time, so a busy machine does not change verdicts.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)


def _reply(replies: int, content: dict[str, Any]) -> None:
    # Writing fails when the parent has gone.
    with contextlib.suppress(OSError):
        os.write(replies, (json.dumps(content) + "\n").encode())


def _limit_memory(megabytes: int) -> None:
    # A power tower can fill the machine's memory before the alarm. macOS refuses this limit.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


class Unreadable(ValueError):
    """An expression cannot be parsed."""

    def __init__(self, side: str, text: str) -> None:
        """Name the side, ``unreadable_gold`` or ``unreadable_answer``, and the text."""
        super().__init__(f"cannot read {text[:200]!r}")
        self.side = side


# Not 0, where many functions vanish or have a pole. Of both signs, because sqrt(x^2) is x only for positive x.
_POINTS = ((7, 11), (-13, 17), (29, 23), (-5, 31))
_DIGITS = 40
# The parser builds its tables when it parses; a fork inherits the tables.
_WARM_UP = (
    ("x+1", "1+x"), (r"\frac{x^2-1}{x-1}", "x+1"), (r"2\sqrt{3}", r"\sqrt{12}"), (r"\sin^{2} x + \cos^2 x", "1"),
    (r"\frac{\pi}{4}", r"\arctan 1"), (r"-2(a-b)^{n} \cdot 3", r"e^{x}"), (r"\log_{2} 8", r"3!"), (r"|x_1|", r"\ln 2"),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Whether two expressions, or the sides of two equations or inequalities (smaller side first), are equal."""

    kind: str
    gold: list[str]
    answer: list[str]
    tolerance: str | None = None

    @classmethod
    def load(cls) -> None:
        """Import SymPy and build the parser, so that a child has them."""
        for gold, answer in _WARM_UP:
            cls("value", [gold], [answer]).is_same()

    def is_same(self) -> bool:
        """Return the verdict.

        Raises:
            Unreadable: when one of the two cannot be parsed.
        """
        from sympy.core.random import seed

        seed(0)  # SymPy decides some equalities at random points
        is_complex = any(_may_be_complex(text) for text in (*self.gold, *self.answer))
        gold = [_parse(text, "unreadable_gold", is_complex) for text in self.gold]
        answer = [_parse(text, "unreadable_answer", is_complex) for text in self.answer]
        if self.kind == "value":
            return self._same_value(gold[0], answer[0])
        one, other = gold[0] - gold[1], answer[0] - answer[1]
        return _same_up_to_factor(one, other, needs_positive=self.kind == "inequality")

    def _same_value(self, gold: Any, answer: Any) -> bool:
        from sympy import MatrixBase, Rational

        if isinstance(gold, MatrixBase) or isinstance(answer, MatrixBase):
            is_pair = isinstance(gold, MatrixBase) and isinstance(answer, MatrixBase) and gold.shape == answer.shape
            return is_pair and all(_is_zero(a - b) for a, b in zip(gold.flat(), answer.flat(), strict=True))
        if gold == answer:
            return True
        if self.tolerance is not None and not (gold - answer).free_symbols:
            difference = abs((gold - answer).evalf(_DIGITS))
            return bool(difference.is_number and difference <= Rational(self.tolerance))
        return _is_zero(gold - answer)


def _same_up_to_factor(one: Any, other: Any, *, needs_positive: bool) -> bool:
    from sympy import cancel

    if _is_zero(one) or _is_zero(other) or one.free_symbols != other.free_symbols:
        return False
    factor = cancel(one / other)
    if factor.free_symbols or not factor.is_finite:
        return False
    return bool(factor.is_positive) if needs_positive else bool(factor.is_nonzero)


def _is_zero(difference: Any) -> bool:
    """Return whether an expression is 0: exactly where numbers are rational, else proven by SymPy.

    Values at a few points rule most differences out before the costly proof.
    """
    from sympy import expand, simplify

    if difference.is_Number:
        return bool(difference == 0)
    points = _at_points(difference)
    if _is_surely_not_zero(next(points)):
        return False
    done = difference.doit()
    if done.is_Rational:
        return bool(done == 0)
    if expand(done) == 0:
        return True
    if any(_is_surely_not_zero(point) for point in points):
        return False
    simple = simplify(done)
    return bool(simple == 0) or bool(simple.is_zero) or simple.equals(0) is True


def _at_points(expression: Any) -> Iterator[Any]:
    from sympy import Rational

    symbols = sorted(expression.free_symbols, key=str)
    for first, step in _POINTS[: len(_POINTS) if symbols else 1]:
        values = {symbol: Rational(first + step * index * (-1) ** index, 7) for index, symbol in enumerate(symbols)}
        yield expression.subs(values)


def _is_surely_not_zero(number: Any) -> bool:
    from sympy import nan, zoo

    try:
        # SymPy raises the precision until the digits are right; for a true zero it would never stop.
        value = number.doit().evalf(15, maxn=_DIGITS * 10)
    except (TypeError, ValueError, ArithmeticError, AttributeError):
        return False
    if value in (nan, zoo) or not value.is_number or value.is_finite is False:
        return False
    # At a true zero only rounding noise is left, without a single known digit.
    parts: list[Any] = list(value.as_real_imag())
    return any(part != 0 and (part.is_Rational or (part.is_Float and part._prec > 1)) for part in parts)


# Completions of one prompt have one gold.
@lru_cache(maxsize=512)
def _parse(text: str, side: str, is_complex: bool) -> Any:
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy
    from sympy import Expr, I, MatrixBase

    try:
        parsed = latex2sympy(
            text,
            is_real=not is_complex,
            convert_degrees=False,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),  # else R and r are one symbol
        )
    except Exception as error:
        if isinstance(error, RecursionError | MemoryError):
            raise
        raise Unreadable(side, text) from error
    if not isinstance(parsed, Expr | MatrixBase):
        raise Unreadable(side, text)
    symbols = {str(symbol): symbol for symbol in parsed.free_symbols}
    # Beside j or k it is a unit vector.
    return parsed.subs(symbols["i"], I) if is_complex and "i" in symbols and not symbols.keys() & {"j", "k"} else parsed


def _may_be_complex(text: str) -> bool:
    from math_verify.grader import should_treat_as_complex

    return should_treat_as_complex(text) or re.search(r"(?<![A-Za-z\\])i(?![A-Za-z])", text) is not None


if __name__ == "__main__":
    keep(int(sys.argv[1]))
