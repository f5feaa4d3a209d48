"""``make bench-verifier``: verdicts per second of the verifier, and what a thousand hanging answers cost.

Writes runs/bench/verifier.json. The typical mix is what a rollout of mathematics asks: numbers, names and units, which
are decided at once, and a third that needs computer algebra. The adversarial mix is 1,000 different answers that hang,
and 200 good ones among them.
"""

import json
import os
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rewards.answers import Question, Verifier

OUT = Path("runs/bench/verifier.json")
NUM_TYPICAL, NUM_SINGLE, NUM_HANGING, NUM_GOOD = 1800, 300, 1000, 200
TYPICAL = [
    ("{n}", "{n}"), ("{n}", "{m}"), ("{n}/7", r"\frac{{{n}}}{{7}}"), ("{n} cm", "{n}0 mm"), ("{n}", r"x = {n}"),
    ("({n}, 2)", "({n}, 3)"), (r"{n}\sqrt{{2}}", r"\sqrt{{2}} \cdot {n}"), ("x+{n}", "{n}+x"),
    ("(x+{n})(x-{n})", "x^2-{n}^2"),
]  # fmt: skip
HANGING = [
    r"10^{{10^{{10^{{{n}}}}}}} + x",
    "{n}^{{9^{{9^9}}}}",
    "({n}^{{9^9}})! + x",
    r"\sum_{{k=1}}^{{10^{{{n}0}}}} \sin(k!)",
]


def main() -> None:
    """Measure both mixes and print them."""
    rows = {"typical": typical(), "adversarial": adversarial()}
    table = Table(title=f"Verifier on {len(os.sched_getaffinity(0))} cores")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for mix, figures in rows.items():
        for name, value in figures.items():
            table.add_row(f"{mix}: {name}", f"{value:,.1f}" if isinstance(value, float) else str(value))
    Console().print(table)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


def typical() -> dict[str, float | int]:
    """Return verdicts per second of one large call, and the 99th percentile of calls for one answer each."""
    verifier = Verifier()
    # The start of the workers is paid once in a run.
    verifier.judge_all([Question("x+1", "1+x")] + [Question("y", f"x+{n}") for n in range(8)])
    questions = mix(NUM_TYPICAL, first=100)
    seconds, verdicts = timed(verifier, questions)
    singles = sorted(timed(verifier, [question])[0] for question in mix(NUM_SINGLE, first=5000))
    verifier.close()
    return {
        "verdicts per second": len(questions) / seconds,
        "milliseconds per answer, p50": 1000.0 * singles[len(singles) // 2],
        "milliseconds per answer, p99": 1000.0 * singles[len(singles) * 99 // 100],
        "by computer algebra, %": 100.0 * verdicts["right_symbols"] / len(questions),
    }


def mix(number: int, *, first: int) -> list[Question]:
    """Return different questions of the typical mix."""
    pairs = [(TYPICAL[i % len(TYPICAL)], first + i) for i in range(number)]
    return [Question(gold.format(n=n), answer.format(n=n, m=n + 1)) for (gold, answer), n in pairs]


def adversarial() -> dict[str, float | int]:
    """Return what hanging answers cost in time and memory, and what is left of the processes."""
    verifier = Verifier()
    hanging = [Question("12", HANGING[i % len(HANGING)].format(n=10 + i)) for i in range(NUM_HANGING)]
    good = [Question(f"x+{n}", f"{n}+x") for n in range(NUM_GOOD)]
    every = NUM_HANGING // NUM_GOOD
    questions = [q for i, one in enumerate(good) for q in (*hanging[i * every : (i + 1) * every], one)]
    memory = resident_megabytes(os.getpid())
    seconds, verdicts = timed(verifier, questions)
    again, _ = timed(verifier, questions)
    processes = [worker.process.pid for worker in verifier.workers if worker.process is not None]
    figures = {
        "seconds": seconds,
        "seconds in the next rollout": again,
        "good answers found right": verdicts["right_symbols"],
        "unknown": sum(count for reason, count in verdicts.items() if reason in ("timed_out", "comparison_failed")),
        "growth of this process, MiB": resident_megabytes(os.getpid()) - memory,
        "largest worker, MiB": max(resident_megabytes(pid) for pid in processes),
    }
    verifier.close()
    time.sleep(1.0)
    return {**figures, "processes left": sum(Path(f"/proc/{pid}").exists() for pid in processes)}


def timed(verifier: Verifier, questions: list[Question]) -> tuple[float, Counter[str]]:
    """Return the seconds of one call and the number of verdicts by reason."""
    started = time.perf_counter()
    verdicts = verifier.judge_all(questions)
    return time.perf_counter() - started, Counter(map(str, verdicts))


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
