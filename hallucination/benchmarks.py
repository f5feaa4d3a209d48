"""Benchmarks of hallucination that a config can name: each knows which prompts are its questions, and how it scores.

    PopeBenchmark      yes/no questions about objects, by split              (hallucination/pope_metric.py)
    HallusionBench     yes/no questions, by question, figure and group       (hallucination/hallusion_bench.py)
    AmberBenchmark     descriptions, and yes/no questions by kind            (hallucination/amber.py)
    ChairBenchmark     captions against the objects in the picture           (hallucination/chair.py)

Evaluation scores the greedy completion of each held-out prompt, the monitor the completions of its probes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from torchmetrics import Metric

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt
from hallucination.amber import AmberMetric, Answer, Description
from hallucination.amber_vocabulary import load_vocabulary
from hallucination.chair import ChairMetric
from hallucination.hallusion_bench import HallusionBenchMetric, HallusionQuestion, read_verdict
from hallucination.judged import JudgedCompletion
from hallucination.judges import ObjectJudge
from hallucination.pope import POPE_SPLITS
from hallucination.pope_metric import PopeMetric


class Benchmark(ABC):
    """Scores of completions, defined by a benchmark's authors."""

    form: str
    """What a row of this benchmark must have, in words for an error message."""

    @abstractmethod
    def has_form(self, prompt: Prompt) -> bool:
        """Return whether a prompt is a question of this benchmark."""

    @abstractmethod
    def metric(self) -> Metric:
        """Return a metric without completions; its ``compute`` gives the scores by name."""

    @abstractmethod
    def add(self, metric: Metric, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add completions to a metric of this benchmark.

        Args:
            metric: what ``metric`` returned.
            prompts: questions of this benchmark.
            completions: one completion of each.
        """

    def check(self, prompts: Iterable[Prompt], where: str, key: str) -> None:
        """Refuse data without a single question of this benchmark.

        Args:
            prompts: all prompts that are to be scored.
            where: where these prompts come from, for the message.
            key: the setting that names the benchmark.

        Raises:
            ConfigError: names the setting and what rows must have.
        """
        if not any(map(self.has_form, prompts)):
            raise ConfigError(
                f"{key} is {type(self).__name__}, and no row of {where} is a question of it: each has {self.form}. "
                "Name data of this form, or set it to null."
            )


class PopeBenchmark(Benchmark):
    """POPE (arXiv:2305.10355): accuracy, precision, recall, F1 and yes-ratio, overall and by split."""

    form = f"the answer yes or no, and one of {', '.join(POPE_SPLITS)} in the column category"

    def has_form(self, prompt: Prompt) -> bool:
        """Return whether the prompt has an answer of yes or no, and a split."""
        return truth_of(prompt) is not None and prompt.columns.get("category") in POPE_SPLITS

    def metric(self) -> PopeMetric:
        """Return a metric without answers."""
        return PopeMetric()

    def add(self, metric: Metric, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add answers."""
        answers = ["yes" if truth_of(prompt) else "no" for prompt in prompts]
        metric.update([c.text for c in completions], answers, [str(p.columns["category"]) for p in prompts])


class HallusionBench(Benchmark):
    """HallusionBench (arXiv:2310.14566): aAcc, fAcc and qAcc, without a model as the judge."""

    places = ("category", "subcategory", "set_id", "figure_id", "question_id")
    form = f"the answer yes or no, and the columns {', '.join(places)}"

    def has_form(self, prompt: Prompt) -> bool:
        """Return whether the prompt has an answer of yes or no, and its place in the benchmark."""
        is_placed = all(prompt.columns.get(name) is not None for name in self.places)
        return truth_of(prompt) is not None and is_placed and prompt.columns["category"] in ("VD", "VS")

    def metric(self) -> HallusionBenchMetric:
        """Return a metric without answers."""
        return HallusionBenchMetric()

    def add(self, metric: Metric, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add answers."""
        questions = [self._question(prompt) for prompt in prompts]
        verdicts = [read_verdict(c.text, question) for c, question in zip(completions, questions, strict=True)]
        metric.update(verdicts, questions)

    def _question(self, prompt: Prompt) -> HallusionQuestion:
        # Numbers in some copies of the benchmark, texts in others.
        places = {name: str(prompt.columns[name]) for name in self.places}
        return HallusionQuestion(**places, is_yes=bool(truth_of(prompt)))


class ChairBenchmark(Benchmark):
    """CHAIR (arXiv:1809.02156): shares of mentions and of captions that name what the picture does not show."""

    form = "what the picture shows in the column facts"

    def __init__(self, synonyms: str = "coco") -> None:
        """Set the vocabulary.

        Args:
            synonyms: file of objects and their synonyms, such as the ``synonyms.txt`` of CHAIR's authors; ``coco`` is
                this project's list for the 80 classes of COCO.
        """
        self.judge = ObjectJudge(synonyms)

    def has_form(self, prompt: Prompt) -> bool:
        """Return whether it is known what the picture shows."""
        return prompt.facts is not None

    def metric(self) -> ChairMetric:
        """Return a metric without captions."""
        return ChairMetric()

    def add(self, metric: Metric, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add captions."""
        metric.update(
            [
                JudgedCompletion(prompt, completion, self.judge.claims(prompt, completion.text) or [])
                for prompt, completion in zip(prompts, completions, strict=True)
            ]
        )


class AmberBenchmark(Benchmark):
    """AMBER (arXiv:2311.07397): scores of descriptions and of answers by kind; the AMBER score where both are given."""

    form = (
        "either the answer yes or no and one of the benchmark's kinds of question in the column type, or what the "
        "picture shows in facts and the column hallu (this with relation and safe_words)"
    )

    def __init__(self, relation: str | None = None, safe_words: str | None = None) -> None:
        """Name the benchmark's tables of words, by which descriptions are judged.

        Args:
            relation: ``data/relation.json`` of its repository; null: only answers are scored.
            safe_words: ``data/safe_words.txt``, words that are never wrong; null: there are none.
        """
        self.vocabulary = None if relation is None else load_vocabulary(relation, safe_words)

    def has_form(self, prompt: Prompt) -> bool:
        """Return whether the prompt is a question of AMBER that can be scored."""
        return self._describes(prompt) or (truth_of(prompt) is not None and self._kind(prompt) is not None)

    def metric(self) -> AmberMetric:
        """Return a metric without completions."""
        return AmberMetric(self.vocabulary)

    def add(self, metric: Metric, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> None:
        """Add descriptions and answers."""
        metric.update([self._row(p, c.text) for p, c in zip(prompts, completions, strict=True)])

    def _row(self, prompt: Prompt, text: str) -> Description | Answer:
        if self._describes(prompt):
            return Description(text, prompt.facts or (), prompt.columns["hallu"])
        return Answer(text, bool(truth_of(prompt)), str(self._kind(prompt)))

    def _describes(self, prompt: Prompt) -> bool:
        return self.vocabulary is not None and prompt.facts is not None and prompt.columns.get("hallu") is not None

    def _kind(self, prompt: Prompt) -> str | None:
        """Return the kind of a yes/no question; None where it is none of the benchmark's."""
        # A type is such as "discriminative-attribute-state"; some copies name relations without the first word.
        words = str(prompt.columns.get("type", "")).removeprefix("discriminative-").split("-")
        return {"hallucination": "existence", "attribute": "attribute", "relation": "relation"}.get(words[0])


def truth_of(prompt: Prompt) -> bool | None:
    """Return whether yes is right; None for a prompt whose answer is neither yes nor no."""
    return {"yes": True, "no": False}.get((prompt.answer or "").strip().lower())
