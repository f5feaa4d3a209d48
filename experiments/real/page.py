"""``make real-page``: collects the numbers of all seeds and stages, and writes docs/results-real.md from them.

The numbers are kept in docs/results-real.json, so that the page can be written again without the runs. What intervals
are over is in ``shares.py``.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.photographs.questions import QUESTION_KINDS
from experiments.real import tables
from experiments.real.measures import SAMPLES
from experiments.real.running import LANGUAGE_MODEL_NUMBERS, stored
from experiments.real.samples import NUMBER, draw_pictures, samples, text_samples
from experiments.real.scales import SCALES
from experiments.real.shares import Result
from experiments.real.stages import ROOT, STAGES
from experiments.real.text_check import CHECKS
from storage import whole_file

NUMBERS = Path("docs/results-real.json")
PAGE = Path("docs/results-real.md")
PICTURES = Path("docs/figures/real")

Numbers = Mapping[str, Any]
"""``stages``: the results of all stages and seeds; ``language_model``: what it said before training, where measured."""


def collected(root: Path) -> dict[str, Any]:
    """Return the numbers below a folder, by stage and seed."""
    order = list(STAGES)
    results = [stored(path) for name in order for path in root.glob(f"seed-*/{name}.json")]
    numbers: dict[str, Any] = {"stages": sorted(results, key=lambda each: (order.index(each["stage"]), each["seed"]))}
    alone = root / LANGUAGE_MODEL_NUMBERS
    return numbers | ({"language_model": stored(alone)} if alone.is_file() else {})


def page(numbers: Numbers, pictures: str = "figures/real", docs: str = "") -> str:
    """Return the page in Markdown.

    Args:
        numbers: of all stages and seeds.
        pictures: folder of the pictures as the page names it.
        docs: what leads from the page to docs/, with a slash at its end.
    """
    results, alone = numbers["stages"], numbers.get("language_model")
    measured = [result for result in results if "measures" in result]
    sections = [_head(results, docs), *(_measured(measured, results) if measured else ())]
    if any("items" in result for result in results):
        sections.insert(len(sections[:2]), ["## Alignment", _ALIGNMENT, tables.alignment(results)])
    if measured:
        sections.append([
            "## Without a picture",
            f"What training with pictures takes from the language model: {len(CHECKS)} fixed prompts without one, "
            "answered greedily; right answers in percent. A check and not a benchmark.",
            tables.text_check(results, alone),
            *text_samples(results, alone),
        ])  # fmt: skip
    if measured:
        told = f"The first {NUMBER} test questions of the first seed; nobody has chosen them."
        sections.append(["## What the policies say", told, *samples(results, pictures)])
    sections.append(["## Seconds by stage", "Training + measuring.", tables.seconds(results)])
    sections.append([
        "## What differs from the configs", "Flags of `--scale`, by stage; all else is in `configs/real/`.",
        tables.flags(results),
    ])  # fmt: skip
    sections.append(["## Elsewhere", _ELSEWHERE.format(docs=docs)])
    return "\n\n".join(part for section in sections for part in section) + "\n"


_ALIGNMENT = (
    "The adapter alone has learnt. Items of held-out pictures named rightly at their place, greedily. *Base* below is "
    "this policy after the language model has learnt to reason and to answer from demonstrations."
)


_ELSEWHERE = (
    "`make test-served` asks vLLM's OpenAI endpoint and plain transformers the same about photographs, and compares "
    "them token by token. `make test-real` runs a few steps of every stage, `make real-fast` a short chain. Speed "
    'beside TRL at this size: [speed.md]({docs}speed.md). On a GPU: `make real REAL_FLAGS="--engine vllm"`.'
)


def _head(results: Sequence[Result], docs: str) -> list[str]:
    seeds = sorted({result["seed"] for result in results})
    devices = ", ".join(sorted({result["device"] for result in results}))
    scales = [SCALES[name] for name in sorted({result["scale"] for result in results if "scale" in result})]
    return [
        "# Results: a real language model looks at real photographs",
        "Written by `make real-page` from `docs/results-real.json`; `make real` makes the numbers."
        if not docs
        else "Written by `python -m experiments.real` from the numbers beside it.",
        "SmolLM2-135M-Instruct reads mosaics of Fashion-MNIST through a tower and an adapter trained here; "
        f"`configs/real/` has every setting, and [experiments.md]({docs}experiments.md) how it came to them, what was "
        f"tried besides, and how far to trust it. Seeds: {', '.join(map(str, seeds))}. Device: {devices}. Test "
        "photographs are in no training picture.",
        *(f"Scale `{scale.name}`. {scale.shows}" for scale in scales),
        "In brackets: 95 % interval over test pictures, those of all seeds together. It tells how far other pictures "
        "would move a number, and not how far another seed would: that, the rows of single seeds show.",
    ]


def _measured(measured: Sequence[Result], results: Sequence[Result]) -> list[list[str]]:
    """Return the sections about policies."""
    return [
        ["## At a glance", *_missing(measured), tables.at_a_glance(results)],
        [
            "## Answers and claims", *_tests(measured), tables.answers(measured),
            "Change against the base, picture by picture, in points:", tables.changes(measured),
            "Sampled accuracy by kind of question; a gray picture shows what is answered rightly without looking:",
            tables.kinds(measured),
        ],
        [
            "## Items and blindness",
            "*Blind gap*: greedy accuracy less that with a gray picture. *Effective*: questions that some of "
            f"{SAMPLES} samples answer rightly, and some not; the others teach GRPO nothing. *Items*: cells named "
            "rightly at their place when asked to list the picture.",
            tables.looking(measured),
        ],
        [
            "## POPE",
            "Is there a thing in the picture? Half of the right answers are yes, so that 50 % is chance. F1 is about "
            "yes: a policy that always says no has 0 %.",
            tables.pope(measured),
        ],
    ]  # fmt: skip


def _missing(measured: Sequence[Result]) -> list[str]:
    """Return a paragraph that names the policies without numbers; an empty text when all have numbers."""
    found = {result["stage"] for result in measured}
    missing = [name for stage, name in tables.NAMES.items() if stage not in found]
    return [f"No numbers here: {', '.join(missing)}."] if missing else []


def _tests(measured: Sequence[Result]) -> list[str]:
    """Return what the test questions are, and what was not asked; a paragraph for each kind of test in the results."""
    tests = {json.dumps(result["test"]) for result in measured if "test" in result}
    return [_test(json.loads(test)) for test in sorted(tests)]


def _test(test: Mapping[str, Any]) -> str:
    unasked = [kind for kind in QUESTION_KINDS if kind not in test["kinds"]]
    return (
        f"Test: {test['questions']} questions a seed ({', '.join(test['kinds'])}), {test['large_share']:.0%} of them "
        f"about mosaics of 3 x 3, the rest 2 x 2; completions of at most {test['max_tokens']} tokens, weights in "
        f"{test['dtype']}." + (f" Not asked, though the world has it: {', '.join(unasked)}." if unasked else "")
    )


def write_page(root: Path, to: Path, pictures: Path) -> Path:
    """Write the page of the numbers below a folder, and its pictures; return its path."""
    numbers = collected(root)
    draw_pictures(numbers["stages"], pictures)
    with whole_file(to) as draft:
        draft.write_text(page(numbers, _from(to, pictures), f"{_from(to, PAGE.parent)}/"))
    return to


def _from(page: Path, folder: Path) -> str:
    return Path(os.path.relpath(folder, page.parent)).as_posix()


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect the numbers where there are runs, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="where the folders of the seeds lie")
    options = parser.parse_args(arguments)
    numbers = collected(options.root)
    if numbers["stages"]:
        with whole_file(NUMBERS) as draft:
            draft.write_text(json.dumps(numbers) + "\n")
    numbers = json.loads(NUMBERS.read_text())
    draw_pictures(numbers["stages"], PICTURES)
    with whole_file(PAGE) as draft:
        draft.write_text(page(numbers))


if __name__ == "__main__":
    main()
