"""The tables of the page of real photographs, each a Markdown text made from stored numbers alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.real.shares import ANSWERS, ITEMS, LOOKING, POPE, Interval, Result, change, items_share, share
from experiments.real.stages import STAGES
from experiments.real.text_check import CHECKS

BASE = "answers"
NAMES = {
    BASE: "base",
    "sft": "SFT on chosen completions",
    "mpo": "MPO",
    "no_ssb": "GRPO without the buffer",
    "grpo": "GRPO with the Selective Sample Buffer",
}
AS_IT_CAME = "the language model as it came"
Results = Sequence[Result]


def by_stage(results: Results) -> dict[str, list[Result]]:
    """Return the measured results by stage, in the order of ``NAMES``."""
    found = {name: [each for each in results if each["stage"] == name and "measures" in each] for name in NAMES}
    return {name: of_stage for name, of_stage in found.items() if of_stage}


def paired(results: Results, base: Results) -> tuple[list[Result], list[Result]]:
    """Return the results of two stages, for the seeds that both stages have."""
    before = {result["seed"]: result for result in base}
    now = [result for result in results if result["seed"] in before]
    return now, [before[result["seed"]] for result in now]


# The hope in words, its stage, the stage to compare with, the measure, and the change that was hoped for.
_HOPES = (
    ("GRPO with the buffer: sampled accuracy 10 points over the base", "grpo", BASE, "sampled accuracy", 0.1),
    ("GRPO with the buffer: hallucination rate not above the base's", "grpo", BASE, "hallucination rate", 0.0),
    ("MPO: hallucination rate below SFT's on the same pairs", "mpo", "sft", "hallucination rate", 0.0),
    ("GRPO with the buffer above GRPO without, completions alike", "grpo", "no_ssb", "sampled accuracy", 0.0),
)


def at_a_glance(results: Results) -> str:
    """Return a table of hopes and results; hopes whose stages were not run are left out."""
    stages = by_stage(results)
    items = [each for result in results if result["stage"] == "align" for each in result["items"]["items"]]
    rows: list[list[str]] = []
    if items:
        named = items_share(items, "items of 2 x 2")
        rows.append(
            ["alignment alone names 70 % of the items of held-out 2 x 2 pictures", named.percent, _reaches(named, 0.7)]
        )
    for told, name, base, measure, target in _HOPES:
        now, before = paired(stages.get(name, ()), stages.get(base, ()))
        if now:
            changed = change(now, before, measure)
            # A lower rate is the better one.
            sign = -1.0 if measure == "hallucination rate" else 1.0
            rows.append([told, f"{changed.points} points", _reaches(changed, target, sign)])
    return table(["hoped for", "measured", "so"], rows)


def _reaches(interval: Interval, target: float, sign: float = 1.0) -> str:
    worst, best = sorted((sign * interval.low, sign * interval.high))
    if worst >= target:
        return "yes"
    if not target and best > 0.0:
        return "not told apart"
    return "yes, though its interval begins below that" if sign * interval.value >= target else "no"


def alignment(results: Results) -> str:
    """Return what a policy names after the stages in which the adapter alone learns, a row for each seed."""
    rows = [
        [f"{told}, seed {result['seed']}", *(items_share(result["items"]["items"], name).percent for name in ITEMS)]
        for stage, told in (("words", "before: an adapter that says words"), ("align", "aligned"))
        for result in results
        if result["stage"] == stage and "items" in result
    ]
    return table(["", *ITEMS], rows)


def answers(results: Results) -> str:
    """Return accuracy and hallucination of every policy."""
    return _shares(results, ANSWERS)


def looking(results: Results) -> str:
    """Return what every policy sees, and what it says without seeing."""
    return _shares(results, {**LOOKING, **ITEMS})


def _shares(results: Results, names: Mapping[str, Any]) -> str:
    rows = [
        [NAMES[stage], *(share(of_stage, name).percent for name in names)]
        for stage, of_stage in by_stage(results).items()
    ]
    return table(["policy", *names], rows)


def changes(results: Results) -> str:
    """Return how much every policy differs from the base, all seeds together and each alone."""
    stages = by_stage(results)
    rows: list[list[str]] = []
    for name, of_stage in stages.items():
        now, before = paired(of_stage, stages.get(BASE, ()))
        if name == BASE or not now:
            continue
        rows.append([NAMES[name], *(change(now, before, column).points for column in ANSWERS)])
        if len(now) > 1:
            rows += [
                [f"- seed {each['seed']}", *(change([each], [base], column).points for column in ANSWERS)]
                for each, base in zip(now, before, strict=True)
            ]
    return table(["policy", *ANSWERS], rows)


def kinds(results: Results) -> str:
    """Return the sampled accuracy of every policy by kind of question; a gray picture's beside the base's."""
    stages = by_stage(results)
    asked = sorted({kind for of_stage in stages.values() for each in of_stage for kind in _kinds(each)})
    numbers = {kind: sum(_kinds(each).count(kind) for each in next(iter(stages.values()))) for kind in asked}
    rows = [
        [NAMES[stage], *(share(of_stage, "sampled accuracy", kind).percent for kind in asked)]
        for stage, of_stage in stages.items()
    ]
    if BASE in stages:
        blind = [share(stages[BASE], "accuracy, gray picture", kind).percent for kind in asked]
        rows.insert(0, ["base, gray picture, greedily", *blind])
    return table(["policy", *(f"{kind} ({number} questions)" for kind, number in numbers.items())], rows)


def _kinds(result: Result) -> list[str]:
    return list(result["measures"]["by_picture"].get("kind", ()))


def pope(results: Results) -> str:
    """Return POPE's scores by seed; with intervals where the answers to single pictures are stored."""
    rows: list[list[str]] = []
    for stage, of_stage in by_stage(results).items():
        for result in of_stage:
            measures = result["measures"]
            if "pope" in measures["by_picture"]:
                scores = [share([result], name).percent for name in POPE]
            else:
                scores = [_percent(measures[key]) for key in ("pope_accuracy", "pope_f1")]
            rows.append([NAMES[stage], str(result["seed"]), *scores, _percent(measures["pope_yes_ratio"])])
    return table(["policy", "seed", *POPE, "says yes"], rows)


def text_check(results: Results, language_model: Mapping[str, Any] | None) -> str:
    """Return the right answers to prompts without a picture, by group; first of the language model before training."""
    groups = list(dict.fromkeys(check.group for check in CHECKS))
    numbers = [len(CHECKS), *(sum(check.group == group for check in CHECKS) for group in groups)]
    texts = {AS_IT_CAME: [language_model["text"]]} if language_model else {}
    for stage, of_stage in by_stage(results).items():
        texts[NAMES[stage]] = [each["measures"]["text"] for each in of_stage if "text" in each["measures"]]
    rows = [
        [name, *(_percent(float(np.mean([text[key] for text in told]))) for key in ("all", *groups))]
        for name, told in texts.items() if told
    ]  # fmt: skip
    return table(["policy", *(f"{k} ({n})" for k, n in zip(("all", *groups), numbers, strict=True))], rows)


def seconds(results: Results) -> str:
    """Return the seconds of training and of measuring, by stage and seed."""
    seeds = sorted({result["seed"] for result in results})
    rows: list[list[str]] = []
    totals = dict.fromkeys(seeds, (0.0, 0.0))
    for name in STAGES:
        cells = dict.fromkeys(seeds, "")
        for result in (each for each in results if each["stage"] == name):
            spent = result["seconds"], result.get("measuring_seconds", result.get("measures", {}).get("seconds", 0.0))
            seed, before = result["seed"], totals[result["seed"]]
            totals[seed] = before[0] + spent[0], before[1] + spent[1]
            cells[seed] = _spent(*spent)
        if any(cells.values()):
            rows.append([name, *cells.values()])
    rows.append(["all", *(_spent(*totals[seed]) for seed in seeds)])
    return table(["stage", *(f"seed {seed}" for seed in seeds)], rows)


def _spent(training: float, measuring: float) -> str:
    return f"{training:.0f} + {measuring:.0f}" if measuring >= 0.5 else f"{training:.0f}"


def flags(results: Results) -> str:
    """Return what differs from the configs, by stage."""
    rows: list[list[str]] = []
    for name in STAGES:
        # The last part of a key says enough.
        given = {
            tuple(flag.removeprefix("--").rpartition(".")[2] for flag in result.get("flags", ()))
            for result in results if result["stage"] == name
        }  # fmt: skip
        rows += [[name, ", ".join(f"`{flag}`" for flag in each)] for each in sorted(given) if each]
    return table(["stage", "flags"], rows)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [headings, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
