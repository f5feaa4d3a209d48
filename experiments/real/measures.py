"""Measures a policy on held-out photographs: answers, claims, probes, blindness, and text without pictures.

Every number is kept by picture, so that intervals and differences can be computed later without another run.

Shapes: P prompts, G sampled completions per prompt.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch

from algorithms import Completion, Prompt
from datamodules import MosaicDemonstrations, MosaicFolder, PopeFolder, PromptFolder
from datamodules.photographs.mosaic import placed
from datamodules.photographs.questions import QUESTION_KINDS, QuestionKind
from datamodules.photographs.reasoning import CLAIM_GRAMMAR
from experiments.real.text_check import text_only_check
from hallucination import GrammarJudge, PopeMetric
from hallucination.yes_no import poll_answer
from models import Policy
from rewards import AccuracyReward
from rollouts import SamplingConfig, TransformersEngine

MAX_TOKENS = 96
SAMPLES = 4
# Seed of the sampled completions: the same for every policy.
_SEED = 1234
_PIXELS = 50_000_000
# Completions side by side. On a GPU the time per token hardly depends on the number of rows; 2048 rows take 16 GB.
_ROWS = {"cuda": 2048}
POPE_QUESTION = "Is there {a} {object} in the picture?"


class Measurer:
    """Samples from one policy and scores its completions."""

    def __init__(self, policy: Policy, max_tokens: int) -> None:
        """Take a policy, which stays on its device, and the longest completion in tokens."""
        self.policy, self.max_tokens = policy, max_tokens
        self.engine = TransformersEngine(_ROWS.get(policy.device.type, 512))
        self.engine.sync(self.policy, version=0)
        self.reward = AccuracyReward()
        self.judge = GrammarJudge(
            CLAIM_GRAMMAR.mention, clause_end=CLAIM_GRAMMAR.clause_end, facts_column="true_claims"
        )

    def completions(self, prompts: Sequence[Prompt], *, num_samples: int) -> list[list[Completion]]:
        """Return completions (P, G); one greedy completion each for no samples."""
        sampling = SamplingConfig(
            group_size=max(1, num_samples), temperature=float(num_samples > 0), max_new_tokens=self.max_tokens
        )
        return self.engine.generate(prompts, sampling, seed=_SEED)

    def answers(self, prompts: Sequence[Prompt], *, num_samples: int) -> dict[str, list[Any]]:
        """Return, for each prompt, the number of right completions, of claims, and of unsupported ones."""
        groups = self.completions(prompts, num_samples=num_samples)
        right: list[int] = []
        claims: list[int] = []
        unsupported: list[int] = []
        for prompt, group in zip(prompts, groups, strict=True):
            scores = self.reward([prompt] * len(group), group)
            judged = [claim for each in group for claim in self.judge.claims(prompt, each.text) or ()]
            right.append(sum(score == 1.0 for score in scores))
            claims.append(len(judged))
            unsupported.append(sum(not claim.is_supported for claim in judged))
        texts = [group[0].text for group in groups]
        return {"right": right, "claims": claims, "unsupported": unsupported, "texts": texts}


def measured(
    policy: Policy,
    *,
    seed: int,
    num_prompts: int,
    max_tokens: int = MAX_TOKENS,
    large_share: float = 0.25,
    kinds: Sequence[QuestionKind] = QUESTION_KINDS,
    root: str = "runs/data",
) -> dict[str, Any]:
    """Return all measurements of a policy.

    Args:
        policy: in eval mode, on the device where it is to run.
        seed: seed of the world, on which only the test pictures depend.
        num_prompts: test questions; half as many requests to list a picture, a quarter as many probed pictures.
        max_tokens: longest completion; the default is that of training.
        large_share: share of the test questions that are about mosaics of 3 x 3.
        kinds: kinds of the test questions.
        root: where drawn folders are kept.
    """
    started = time.perf_counter()
    with torch.inference_mode():
        measurer = Measurer(policy, max_tokens)
        sizes: Any = {
            "num_train": 1, "num_val": 1, "large_share": large_share, "kinds": kinds, "seed": seed, "root": root,
        }  # fmt: skip
        questions = _test_prompts(MosaicFolder(**sizes, num_test=num_prompts))
        blind = _test_prompts(MosaicFolder(**sizes, num_test=num_prompts, blind=True))
        greedy = measurer.answers(questions, num_samples=0)
        sampled = measurer.answers(questions, num_samples=SAMPLES)
        unseen = measurer.answers(blind, num_samples=0)
        items = _items(measurer, seed, num_prompts // 2, root)
        pope, polled = _pope(measurer, PopeFolder(
            MosaicFolder(**sizes, num_test=max(8, num_prompts // 4)),
            num_pairs=1, template=POPE_QUESTION, seed=seed, root=root,
        ))  # fmt: skip
        text = text_only_check(measurer.policy)
    total = len(questions)
    return {
        "greedy_accuracy": sum(greedy["right"]) / total,
        "sampled_accuracy": sum(sampled["right"]) / (total * SAMPLES),
        "hallucination_rate": _rate(sampled),
        "greedy_hallucination_rate": _rate(greedy),
        "effective_fraction": sum(0 < right < SAMPLES for right in sampled["right"]) / total,
        "blind_accuracy": sum(unseen["right"]) / total,
        "blind_gap": (sum(greedy["right"]) - sum(unseen["right"])) / total,
        **_item_accuracy(items),
        **pope,
        "text_check": text["all"],
        "seconds": round(time.perf_counter() - started, 1),
        "by_picture": _by_picture(questions, greedy, sampled, unseen, items) | {"pope": polled},
        "samples": [
            {"key": p.key, "question": p.question, "answer": p.answer, "greedy": g, "sampled": s}
            for p, g, s in list(zip(questions, greedy["texts"], sampled["texts"], strict=True))[:12]
        ],
        "text": text,
    }  # fmt: skip


def _by_picture(
    questions: Sequence[Prompt],
    greedy: dict[str, list[Any]],
    sampled: dict[str, list[Any]],
    unseen: dict[str, list[Any]],
    items: list[tuple[int, int]],
) -> dict[str, list[Any]]:
    return {
        "kind": [prompt.columns["kind"] for prompt in questions],
        "side": [prompt.columns["side"] for prompt in questions],
        "greedy": greedy["right"], "sampled": sampled["right"], "blind": unseen["right"],
        "claims": sampled["claims"], "unsupported": sampled["unsupported"], "items": items,
    }  # fmt: skip


def listed(
    policy: Policy, *, seed: int, num_pictures: int, max_tokens: int = MAX_TOKENS, root: str = "runs/data"
) -> dict[str, Any]:
    """Return how many items of held-out pictures a policy names rightly at their place, greedily.

    Args:
        policy: in eval mode, on the device where it is to run.
        seed: seed of the world.
        num_pictures: number of pictures to list, a quarter of them with 3 x 3 photographs.
        max_tokens: longest completion.
        root: where drawn folders are kept.
    """
    with torch.inference_mode():
        items = _items(Measurer(policy, max_tokens), seed, num_pictures, root)
    return {**_item_accuracy(items), "items": items}


def _item_accuracy(items: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return the share of items over all pictures, and by the number of cells of a picture."""
    sizes = sorted({number for _, number in items})
    by_size = {str(size): _named([each for each in items if each[1] == size]) for size in sizes}
    return {"item_accuracy": _named(items), "item_accuracy_by_size": by_size}


def _test_prompts(source: PromptFolder) -> Sequence[Prompt]:
    source.prepare()
    return source.read("test", max_image_pixels=_PIXELS).prompts


def _items(measurer: Measurer, seed: int, num_pictures: int, root: str) -> list[tuple[int, int]]:
    """Return, for each picture that is to be listed, how many things are named rightly at their place, of how many."""
    source = MosaicDemonstrations(num_train=1, num_val=max(1, num_pictures), request_share=1.0, seed=seed, root=root)
    prompts = _test_prompts(source)
    texts = [group[0].text for group in measurer.completions(prompts, num_samples=0)]
    truths = [placed(tuple(prompt.facts or ())) for prompt in prompts]
    return [
        # Searched with the following sign, because "shirt" would be found in "shirts".
        (sum(f"{claim};" in f"{text};".replace(".", ";") for claim in claims), len(claims))
        for text, claims in zip(texts, truths, strict=True)
    ]


def _named(items: Sequence[tuple[int, int]]) -> float:
    """Return the share of things named rightly at their place."""
    return sum(right for right, _ in items) / max(1, sum(number for _, number in items))


def _pope(measurer: Measurer, source: PopeFolder) -> tuple[dict[str, float], list[list[int]]]:
    """Return POPE's scores of greedy answers, and for each picture true yes, false yes, true no and false no."""
    prompts = _test_prompts(source)
    texts = [group[0].text for group in measurer.completions(prompts, num_samples=0)]
    metric = PopeMetric()
    metric.update(texts, [p.answer or "" for p in prompts], [p.columns["category"] for p in prompts])
    scores = metric.compute()
    names = ("pope_accuracy", "pope_f1", "pope_yes_ratio", "pope_silent_fraction")
    by_picture: dict[Any, list[int]] = {}
    for prompt, text in zip(prompts, texts, strict=True):
        counts = by_picture.setdefault(prompt.images[0], [0, 0, 0, 0])
        says_yes = poll_answer(text).is_yes
        counts[(0 if says_yes else 2) + ((prompt.answer == "yes") != says_yes)] += 1
    return {name: float(scores[name]) for name in names}, list(by_picture.values())


def _rate(answers: dict[str, list[int]]) -> float:
    return sum(answers["unsupported"]) / max(1, sum(answers["claims"]))
