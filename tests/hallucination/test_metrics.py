"""Hallucination benchmarks as metrics: by hand in one process, and the same spread over two."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torchmetrics import Metric

from algorithms.errors import DataError
from algorithms.records import Completion, Prompt
from hallucination import (
    AmberMetric,
    HallucinationRate,
    HallusionBenchMetric,
    JudgedCompletion,
    PopeMetric,
)
from hallucination.amber import Answer, Description
from hallucination.amber_vocabulary import AmberVocabulary
from hallucination.chair import find_object_claims
from hallucination.coco_objects import coco_lexicon
from hallucination.hallusion_bench import HallusionQuestion, Verdict

COCO = coco_lexicon()
AMBER = AmberVocabulary({"table": ["desk"], "dog": [], "cat": []})
CAPTIONS = [("a man and a dog", {"person", "cat"}), ("a dog", {"dog", "cup"}), ("nothing", {"cup"}), ("a cat", {"dog"})]
PROBES = [
    ("Yes", "yes", "random"), ("No", "no", "random"), ("", "no", "popular"), ("No.", "yes", "popular"),
    ("There is not", "no", "popular"),
]  # fmt: skip
ANSWERS = [("0", "0", 1), ("0", "1", 1), ("1", "0", 1), ("1", "1", 0), ("2", "0", 2)]
DESCRIPTIONS = [
    Description("a desk and a cat", ["table"], ["cat"]), Description("a dog", ["dog", "cat"], []),
    Description("", ["dog"], ["cat"]),
]  # fmt: skip
# Said and true: no no, no yes, yes no, yes yes.
POLLED = [
    Answer("No.", False, "existence"), Answer("no", True, "attribute"), Answer("Yes", False, "attribute"),
    Answer("Yes", True, "existence"),
]  # fmt: skip


def add_captions(metric: HallucinationRate, rows: list[Any]) -> None:
    metric.update([judged(text, shown, facts=sorted(shown)) for text, shown in rows])


def judged(text: str, shown: Collection[str], *, facts: Sequence[str] | None) -> JudgedCompletion:
    """Return a caption with its claims about an image that shows some objects; the prompt may not have the facts."""
    prompt = Prompt(uid=0, key="0", question="?", facts=None if facts is None else tuple(facts))
    completion = Completion(
        token_ids=torch.zeros(1, dtype=torch.long), behavior_logps=torch.zeros(1), text=text, finish_reason="stop"
    )
    return JudgedCompletion(prompt, completion, find_object_claims(text, shown, COCO))


def add_answers(metric: HallusionBenchMetric, rows: list[Any]) -> None:
    questions = [
        HallusionQuestion(
            category="VD", subcategory="chart", set_id="0", figure_id=figure, question_id=question, is_yes=True
        )
        for figure, question, _ in rows
    ]
    metric.update([Verdict(verdict) for _, _, verdict in rows], questions)


def add_columns(metric: Metric, rows: list[Any]) -> None:
    metric.update(*map(list, zip(*rows, strict=True)))


CASES: dict[str, tuple[Callable[[], Metric], Callable[[Any, list[Any]], None], list[Any]]] = {
    "chair": (HallucinationRate, add_captions, CAPTIONS),
    "pope": (PopeMetric, add_columns, PROBES),
    "hallusion": (HallusionBenchMetric, add_answers, ANSWERS),
    "amber": (lambda: AmberMetric(AMBER), lambda metric, rows: metric.update(rows), DESCRIPTIONS),
    "amber answers": (AmberMetric, lambda metric, rows: metric.update(rows), POLLED),
    "amber both": (lambda: AmberMetric(AMBER), lambda metric, rows: metric.update(rows), [*DESCRIPTIONS, *POLLED]),
}


def computed(name: str, parts: list[list[Any]]) -> dict[str, float]:
    """Return what a metric computes after one update for each part."""
    make, add, _ = CASES[name]
    metric = make()
    for part in parts:
        add(metric, part)
    return {key: round(float(value), 6) for key, value in metric.compute().items()}


def in_one_process(name: str) -> dict[str, float]:
    return computed(name, [CASES[name][2]])


def test_chair_by_hand() -> None:
    # Four mentions (man, dog, dog, cat): dog of the first and cat of the last are not there.
    assert in_one_process("chair") == {
        "hallucination_rate": 2 / 4, "hallucinated_completions": 2 / 4, "claims_per_completion": 1.0,
        "coverage": round(2 / 6, 6),
    }  # fmt: skip


def test_without_facts_there_is_no_coverage() -> None:
    metric = HallucinationRate()
    metric.update([judged("a dog", {"dog"}, facts=None)])
    assert metric.compute() == {
        "hallucination_rate": 0.0,
        "hallucinated_completions": 0.0,
        "claims_per_completion": 1.0,
    }


def test_pope_by_hand() -> None:
    values = in_one_process("pope")
    overall = {"accuracy": 0.6, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes_ratio": 0.4, "silent_fraction": 0.2}
    assert {key: values[f"pope_{key}"] for key in overall} == overall
    assert (values["pope_accuracy_random"], values["pope_f1_random"], values["pope_yes_ratio_random"]) == (1, 1, 0.5)
    assert values["pope_accuracy_popular"] == round(1 / 3, 6)
    assert values["pope_yes_ratio_popular"] == round(1 / 3, 6)
    assert not any(key.endswith("adversarial") for key in values)


def test_an_unknown_split_or_answer_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"the split of a probe must be one of random, popular, adversarial, got \['hard'\]"
    ):
        PopeMetric().update(["yes"], ["yes"], ["hard"])
    with pytest.raises(DataError, match=r"the answer of a probe must be one of yes, no, got \['maybe'\]"):
        PopeMetric().update(["yes"], ["maybe"], ["random"])


def test_hallusion_bench_by_hand() -> None:
    values = in_one_process("hallusion")
    assert values == {
        "hallusion_question_accuracy": 0.6,
        "hallusion_figure_accuracy": round(1 / 3, 6),
        "hallusion_group_accuracy": 0.0,
        "hallusion_mean_accuracy": round((0.6 + 1 / 3) / 3, 6),
    }


def test_amber_by_hand() -> None:
    assert in_one_process("amber") == {
        "amber_chair": round(1 / 3, 6), "amber_cover": 0.5, "amber_hal": round(1 / 3, 6), "amber_cog": 0.5,
        "amber_cog_of_mentions": round(1 / 3, 6),
    }  # fmt: skip


def test_answers_of_amber_by_hand() -> None:
    # No is the positive class: of two noes one is right, of two that should be no one is.
    values = in_one_process("amber answers")
    overall = {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "no_ratio": 0.5}
    assert {key: values[f"amber_{key}"] for key in overall} == overall
    assert (values["amber_accuracy_existence"], values["amber_f1_existence"]) == (1.0, 1.0)
    assert (values["amber_accuracy_attribute"], values["amber_f1_attribute"]) == (0.0, 0.0)
    assert not {"amber_chair", "amber_score", "amber_f1_relation"} & values.keys()


def test_the_score_of_amber_needs_descriptions_and_answers() -> None:
    assert in_one_process("amber both")["amber_score"] == round((1 - 1 / 3 + 0.5) / 2, 6)
    assert "amber_score" not in in_one_process("amber")


def test_a_row_that_amber_cannot_score_is_refused() -> None:
    with pytest.raises(
        DataError, match="the kind of a question must be one of existence, attribute, relation, got 'x'"
    ):
        AmberMetric().update([Answer("yes", True, "x")])
    with pytest.raises(DataError, match="a description of AMBER can only be judged by its tables of words"):
        AmberMetric().update([Description("a dog", ["dog"], [])])


@pytest.mark.parametrize("name", CASES)
def test_how_completions_are_batched_does_not_matter(name: str) -> None:
    rows = CASES[name][2]
    assert computed(name, [rows[:1], rows[1:]]) == in_one_process(name)


@pytest.mark.parametrize("name", CASES)
def test_a_reset_forgets_everything(name: str) -> None:
    make, add, rows = CASES[name]
    metric = make()
    add(metric, rows[:1])
    metric.compute()
    metric.reset()
    add(metric, rows)
    assert {key: round(float(value), 6) for key, value in metric.compute().items()} == in_one_process(name)


def shares(rows: list[Any]) -> dict[str, tuple[list[list[Any]], list[list[Any]]]]:
    """Return ways to spread rows over two ranks: the updates of each rank."""
    # In the last way both ranks hold counts of the same kind, so that only their sum is right.
    return {"spread": ([rows[::2]], [rows[1::2]]), "idle": ([], [rows]), "uneven": ([rows], [rows[:2], rows[:1]])}


def of_rank(rank: int, file: str, results: Any) -> None:
    """Compute every metric on a rank's share of the rows."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    values = {
        (name, way): computed(name, parts[rank]) for name in CASES for way, parts in shares(CASES[name][2]).items()
    }
    torch.distributed.destroy_process_group()
    results.put(values)


def test_two_ranks_compute_what_one_process_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expected = {
        (name, way): computed(name, [*first, *second])
        for name in CASES
        for way, (first, second) in shares(CASES[name][2]).items()
    }
    context = get_context("forkserver")
    context.set_forkserver_preload(["hallucination"])  # imported once for both ranks
    results = context.Queue()
    file = str(tmp_path / "rendezvous")
    ranks = [context.Process(target=of_rank, args=(rank, file, results), daemon=True) for rank in range(2)]
    try:
        for process in ranks:
            process.start()
        assert [results.get(timeout=60) for _ in ranks] == [expected, expected]
    finally:
        for process in ranks:
            process.kill()
