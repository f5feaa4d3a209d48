"""``make real-page``: collects the numbers of all seeds and stages, and writes docs/results-real.md from them.

The numbers are kept in docs/results-real.json, so that the page can be written again without the runs.

Intervals are over test pictures: the same pictures are drawn again and again with replacement (bootstrap), for all
seeds together. Differences between two policies are taken picture by picture.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.real.measures import SAMPLES
from experiments.real.stages import ROOT, STAGES
from storage import whole_file

NUMBERS = Path("docs/results-real.json")
PAGE = Path("docs/results-real.md")
NAMES = {
    "answers": "base",
    "sft": "SFT on chosen completions",
    "mpo": "MPO",
    "no_ssb": "GRPO without the buffer",
    "grpo": "GRPO with the Selective Sample Buffer",
}
BASE = "answers"
# Share of what by picture: numerator, denominator (a number stands for itself).
_SHARES: Mapping[str, tuple[str, str | int]] = {
    "greedy accuracy": ("greedy", 1),
    "sampled accuracy": ("sampled", SAMPLES),
    "hallucination rate": ("unsupported", "claims"),
}
_FURTHER = {
    "item_accuracy": "items at their place",
    "pope_accuracy": "POPE accuracy",
    "pope_f1": "POPE F1",
    "pope_yes_ratio": "POPE says yes",
    "blind_gap": "blind gap",
    "effective_fraction": "effective",
    "text_check": "text check",
}
# Cells of a picture.
_SIZES = {"4": "items of 2 x 2", "9": "items of 3 x 3"}
_DRAWS = 2000

Result = Mapping[str, Any]


def collected(root: Path) -> list[dict[str, Any]]:
    """Return the results of all stages of all seeds below a folder, by stage and seed."""
    results = [json.loads(path.read_text()) for path in root.glob("seed-*/*.json")]
    order = list(STAGES)
    return sorted(results, key=lambda result: (order.index(result["stage"]), result["seed"]))


def page(results: Sequence[Result]) -> str:
    """Return the page in Markdown."""
    measured = [result for result in results if "measures" in result]
    seeds = sorted({result["seed"] for result in results})
    devices = ", ".join(sorted({result["device"] for result in results}))
    parts = [
        "# Results: a real language model looks at real photographs",
        "Written by `make real-page` from `docs/results-real.json`; `make real` makes the numbers.",
        "SmolLM2-135M-Instruct reads mosaics of Fashion-MNIST through a tower and an adapter trained here; "
        "`configs/real/` has every setting. "
        f"Seeds: {', '.join(map(str, seeds))}. Device: {devices}. "
        "Test photographs are in no training picture. In brackets: 95 % interval over test pictures.",
        *_missing(measured),
        *_alignment(results),
        "## Answers and claims",
        *_tests(measured),
        _main_table(measured),
        "Change against the base, picture by picture, in points:",
        _change_table(measured),
        "## Items, probes, blindness",
        "*Items*: cells named rightly at their place when asked to list the picture. *Blind gap*: greedy accuracy less "
        "that with a gray picture. *Effective*: questions that some of "
        f"{SAMPLES} samples answer rightly, and some not. *Text check*: 20 prompts without a picture.",
        _further_table(measured),
        "## Seconds by stage",
        "Training alone; measuring a policy comes on top.",
        _seconds_table(results, seeds),
        "## What differs from the configs",
        "Flags of `--scale`, by stage; all else is in `configs/real/`.",
        _flags_table(results),
        "## What the policies say",
        *_samples(measured),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _missing(measured: Sequence[Result]) -> list[str]:
    """Return a paragraph that names the policies without numbers; none where all have them."""
    found = {result["stage"] for result in measured}
    missing = [name for stage, name in NAMES.items() if stage not in found]
    told = f"No numbers yet: {', '.join(missing)}. How far the runs behind this page came is in"
    return [f"{told} [experiments.md](experiments.md)."] if missing else []


def _tests(measured: Sequence[Result]) -> list[str]:
    """Return what the test questions are; one sentence for each kind of test that results name."""
    tests = {json.dumps(result["test"]) for result in measured if "test" in result}
    return [
        "Test: {questions} questions a seed ({kinds}), {share:.0%} of them about mosaics of 3 x 3, the rest 2 x 2; "
        "completions of at most {max_tokens} tokens, weights in {dtype}.".format(
            **{**test, "kinds": ", ".join(test["kinds"]), "share": test["large_share"]}
        )
        for test in map(json.loads, sorted(tests))
    ]


def _alignment(results: Sequence[Result]) -> list[str]:
    """Return what alignment alone reaches; nothing where it was not run."""
    aligned = [result for result in results if "items" in result]
    if not aligned:
        return []
    rows = [
        [f"seed {result['seed']}", *(_percent(*_listed(result["items"]["items"], size)) for size in _SIZES)]
        for result in aligned
    ]
    return [
        "## Alignment",
        "The adapter alone has learnt. Items of held-out pictures named rightly at their place, greedily:",
        _table(["", *_SIZES.values()], rows),
        "*Base* below is this policy after the language model has learnt to reason and to answer from demonstrations.",
    ]


def _listed(items: Sequence[Sequence[int]], size: str) -> tuple[float, float, float]:
    """Return the share of items named rightly in pictures of so many cells, and its interval over pictures."""
    right = np.asarray([named for named, number in items if number == int(size)], float) / int(size)
    if not len(right):
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(right[_resampled(len(right))].mean(1), (0.025, 0.975))
    return float(right.mean()), float(low), float(high)


def share(results: Sequence[Result], name: str) -> tuple[float, float, float]:
    """Return a share over the pictures of several seeds, and its 95 % interval by bootstrap.

    Args:
        results: of one stage.
        name: key of ``_SHARES``.
    """
    parts, wholes = _columns(results, name)
    rows = _resampled(len(parts))
    values = parts[rows].sum(1) / np.maximum(wholes[rows].sum(1), 1)
    low, high = np.quantile(values, (0.025, 0.975))
    return parts.sum() / max(wholes.sum(), 1), float(low), float(high)


def change(results: Sequence[Result], base: Sequence[Result], name: str) -> tuple[float, float, float]:
    """Return how much a share differs from that of another stage on the same pictures, and its interval."""
    (parts, wholes), (base_parts, base_wholes) = _columns(results, name), _columns(base, name)
    rows = _resampled(len(parts))

    def difference(rows: Any) -> Any:
        now = parts[rows].sum(-1) / np.maximum(wholes[rows].sum(-1), 1)
        return now - base_parts[rows].sum(-1) / np.maximum(base_wholes[rows].sum(-1), 1)

    low, high = np.quantile(difference(rows), (0.025, 0.975))
    return float(difference(np.arange(len(parts)))), float(low), float(high)


def _columns(results: Sequence[Result], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return numerator and denominator by picture, all seeds behind each other."""
    part, whole = _SHARES[name]
    pictures = [result["measures"]["by_picture"] for result in results]
    parts = np.concatenate([np.asarray(each[part], float) for each in pictures])
    if isinstance(whole, int):
        return parts, np.full(len(parts), float(whole))
    return parts, np.concatenate([np.asarray(each[whole], float) for each in pictures])


def _resampled(number: int) -> np.ndarray:
    # The same pictures for every policy.
    return np.random.default_rng(0).integers(0, number, (_DRAWS, number))


def _by_stage(results: Sequence[Result]) -> dict[str, list[Result]]:
    found = {name: [result for result in results if result["stage"] == name] for name in NAMES}
    return {name: of_stage for name, of_stage in found.items() if of_stage}


def _main_table(results: Sequence[Result]) -> str:
    rows = [
        [NAMES[name], *(_percent(*share(of_stage, column)) for column in _SHARES)]
        for name, of_stage in _by_stage(results).items()
    ]
    return _table(["policy", *_SHARES], rows)


def _change_table(results: Sequence[Result]) -> str:
    stages = _by_stage(results)
    base = {result["seed"]: result for result in stages.get(BASE, ())}
    rows: list[list[str]] = []
    for name, of_stage in stages.items():
        paired = [result for result in of_stage if result["seed"] in base]
        if name != BASE and paired:
            before = [base[result["seed"]] for result in paired]
            rows.append([NAMES[name], *(_points(*change(paired, before, column)) for column in _SHARES)])
    return _table(["policy", *_SHARES], rows)


def _further_table(results: Sequence[Result]) -> str:
    rows: list[list[str]] = []
    for name, of_stage in _by_stage(results).items():
        measures = [result["measures"] for result in of_stage]
        cells = [_mean([each[key] for each in measures]) for key in _FURTHER]
        by_size = [each.get("item_accuracy_by_size", {}) for each in measures]
        cells += [_mean([each[size] for each in by_size if size in each]) for size in _SIZES]
        rows.append([NAMES[name], *cells])
    return _table(["policy", *_FURTHER.values(), *_SIZES.values()], rows)


def _mean(shares: Sequence[float]) -> str:
    return f"{100 * np.mean(shares):.1f} %" if shares else ""


def _seconds_table(results: Sequence[Result], seeds: Sequence[int]) -> str:
    rows: list[list[str]] = []
    for name in STAGES:
        of_stage = {result["seed"]: f"{result['seconds']:.0f}" for result in results if result["stage"] == name}
        if of_stage:
            rows.append([name, *(of_stage.get(seed, "") for seed in seeds)])
    return _table(["stage", *(f"seed {seed}" for seed in seeds)], rows)


def _flags_table(results: Sequence[Result]) -> str:
    rows: list[list[str]] = []
    for name in STAGES:
        # The last part of a key says enough.
        flags = {
            tuple(flag.removeprefix("--").rpartition(".")[2] for flag in result.get("flags", ()))
            for result in results
            if result["stage"] == name
        }
        rows += [[name, ", ".join(f"`{flag}`" for flag in each)] for each in sorted(flags) if each]
    return _table(["stage", "flags"], rows)


def _samples(results: Sequence[Result], number: int = 4) -> list[str]:
    """Return the greedy completions of the first questions, one table for each."""
    stages = {name: of_stage[0] for name, of_stage in _by_stage(results).items()}
    if not stages:
        return []
    first = next(iter(stages.values()))["measures"]["samples"][:number]
    tables: list[str] = []
    for position, asked in enumerate(first):
        tables.append(f"**{asked['question']}** ({asked['key']}; right: {asked['answer']})")
        said = {name: result["measures"]["samples"][position]["greedy"] for name, result in stages.items()}
        tables.append(_table(["policy", "greedy completion"], [[NAMES[n], f"`{text}`"] for n, text in said.items()]))
    return tables


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [headings, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]])


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect the numbers where there are runs, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="where the folders of the seeds lie")
    options = parser.parse_args(arguments)
    results = collected(options.root)
    if results:
        with whole_file(NUMBERS) as draft:
            draft.write_text(json.dumps(results) + "\n")
    with whole_file(PAGE) as draft:
        draft.write_text(page(json.loads(NUMBERS.read_text())))


if __name__ == "__main__":
    main()
