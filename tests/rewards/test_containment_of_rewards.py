"""Nothing that a reward does stops a run or changes a sample, and every failure is told with its cause and place."""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from algorithms import AdvantageConfig, Completion, ConfigError, Prompt, group_relative_advantages
from rewards import FunctionReward, RewardPart, WeightedReward
from rewards.reward import MAX_SILENT_ROLLOUTS
from tests.rewards.hand_made import completion, listed, prompt


class Hostile:
    """Raises when it is read as a number."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error


def scored(reward: Any, num: int = 3, *, is_training: bool = False, weighted: WeightedReward | None = None):
    weighted = weighted or WeightedReward({"mine": RewardPart(reward)})
    reduce = (lambda sums: sums) if is_training else None
    return weighted([prompt("1")] * num, [completion(str(i)) for i in range(num)], sum_over_ranks=reduce)


def by_text(score: Callable[[int], Any]):
    return lambda prompts, completions: [score(int(c.text)) for c in completions]


def raises(error: BaseException) -> Any:
    raise error


# --- scores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        10**400, -(10**400), 1e39, -1e39, 1e30, 1.5e308, "six", "1e400", [1.0], 1j, object(),
        torch.tensor([1.0, 2.0]), torch.tensor(math.nan), Hostile(OverflowError()), Hostile(SystemExit(0)),
        Hostile(GeneratorExit()), Hostile(BaseException("timeout")),
    ],
)  # fmt: skip
def test_a_score_that_32_bits_cannot_hold_is_unknown(bad: Any) -> None:
    table = scored(by_text(lambda i: bad if i == 1 else float(i)))
    assert listed(table.parts["mine"]) == listed(table.totals) == [0.0, None, 2.0]
    assert table.num_failures == {"mine": 1}
    advantages = group_relative_advantages(table.totals.float()[None], config=AdvantageConfig())
    assert advantages.isfinite().all()
    assert advantages[0, 1] == 0.0


def test_the_largest_allowed_scores_have_a_finite_deviation() -> None:
    table = scored(by_text(lambda i: 1e17 * (-1) ** i), num=1024)
    advantages = group_relative_advantages(table.totals.float()[None])
    assert advantages.abs().allclose(torch.tensor(1.0), atol=1e-2)


def test_a_weight_that_makes_a_score_overflow_costs_that_score_only() -> None:
    weighted = WeightedReward({"mine": RewardPart(by_text(lambda i: 10.0 ** (i * 10)), weight=1e10)})
    table = scored(None, weighted=weighted)
    assert listed(table.totals) == [1e10, None, None]
    assert table.num_failures == {"mine": 2}


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit(), RecursionError(), MemoryError()])
def test_a_reward_cannot_end_the_run(error: BaseException) -> None:
    assert listed(scored(by_text(lambda i: raises(error) if i == 2 else 1.0)).totals) == [1.0, 1.0, None]


def test_the_user_can_end_the_run() -> None:
    with pytest.raises(KeyboardInterrupt):
        scored(by_text(lambda i: raises(KeyboardInterrupt())))


def test_scores_without_end_are_refused() -> None:
    def endless(prompts: Sequence[Prompt], completions: Sequence[Completion]):
        while True:
            yield 1.0

    assert scored(endless).num_failures == {"mine": 3}


# --- what a reward edits ------------------------------------------------------------------------------------------


def test_a_reward_that_edits_its_arguments_changes_no_sample_and_no_other_reward() -> None:
    def vandal(prompts: Any, completions: Any) -> list[float]:
        scores = [1.0] * len(completions)
        completions[0].token_ids.fill_(-1)
        completions[0].behavior_logps.fill_(-1.0)
        prompts[0].columns["options"].append("none")
        prompts.clear()
        completions.clear()
        return scores

    seen: list[tuple[int, Any]] = []

    def witness(prompts: Any, completions: Any) -> list[float]:
        seen.extend((int(c.token_ids.sum()), p.columns["options"]) for p, c in zip(prompts, completions, strict=True))
        return [1.0] * len(completions)

    prompts = [prompt("1", columns={"options": ["a", "b"]})] * 2
    completions = [completion("x"), completion("y")]
    table = WeightedReward({"vandal": RewardPart(vandal), "witness": RewardPart(witness)})(prompts, completions)
    assert table.totals.tolist() == [2.0, 2.0]
    assert seen == [(0, ["a", "b"])] * 2
    assert len(prompts) == len(completions) == 2
    assert prompts[0].columns == {"options": ["a", "b"]}
    assert not completions[0].token_ids.any()
    assert not completions[0].behavior_logps.any()


# --- async rewards ------------------------------------------------------------------------------------------------


def test_an_async_function_is_awaited() -> None:
    async def lengths(completions: list[str]) -> list[float]:
        await asyncio.sleep(0)
        return [float(len(text)) for text in completions]

    assert scored(FunctionReward(lengths)).totals.tolist() == [1.0] * 3


def test_an_async_reward_that_fails_on_one_sample_scores_the_others_together() -> None:
    at_once, most = 0, 0

    async def picky(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return [1.0 / (int(c.text) - 1) for c in completions]

    assert listed(scored(picky).totals) == [-1.0, None, 1.0]
    assert most == 3


@pytest.mark.parametrize("error", [SystemExit(0), asyncio.CancelledError(), ValueError()])
def test_an_async_reward_cannot_end_the_run(error: BaseException) -> None:
    async def bad(completions: list[str]) -> list[float]:
        return raises(error) if "2" in completions else [1.0] * len(completions)

    assert listed(scored(FunctionReward(bad)).totals) == [1.0, 1.0, None]


def test_an_async_reward_works_where_a_loop_runs_already() -> None:
    async def ones(completions: list[str]) -> list[float]:
        return [1.0] * len(completions)

    async def notebook() -> list[float]:
        return scored(FunctionReward(ones)).totals.tolist()

    assert asyncio.run(notebook()) == [1.0] * 3


# --- what is told -------------------------------------------------------------------------------------------------


def test_a_wrong_number_of_scores_is_told_once_with_the_number(caplog: pytest.LogCaptureFixture) -> None:
    weighted = WeightedReward({"mine": RewardPart(lambda prompts, completions: [1.0])})
    for _ in range(2):
        assert scored(None, num=64, weighted=weighted).totals.tolist() == [1.0] * 64
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "returned 1 scores for 64 completions" in record.getMessage()


def test_a_failure_is_told_with_the_last_line_of_the_user_s_code(caplog: pytest.LogCaptureFixture) -> None:
    def broken(completions: list[str]) -> list[float]:
        import json

        return [json.loads("{") for _ in completions]

    scored(FunctionReward(broken), num=64)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    line = broken.__code__.co_firstlineno + 3
    assert "64 times JSONDecodeError" in record.getMessage()
    assert f"({__file__}:{line}, in " in record.getMessage()


def test_a_part_that_gives_no_score_for_many_rollouts_stops_the_run() -> None:
    weighted = WeightedReward({"mine": RewardPart(by_text(lambda i: raises(OSError("no server"))))})
    for _ in range(MAX_SILENT_ROLLOUTS - 1):
        scored(None, weighted=weighted, is_training=True)
    with pytest.raises(ConfigError, match=r"parts\.mine has not given one score in 5 rollouts .*no server.*in "):
        scored(None, weighted=weighted, is_training=True)


def test_one_score_now_and_then_or_a_part_that_does_not_matter_lets_the_run_go_on() -> None:
    calls = iter(range(1000))
    sometimes = RewardPart(lambda prompts, completions: [math.nan if next(calls) % 12 else 1.0 for _ in completions])
    logged = RewardPart(by_text(lambda i: math.nan), weight=0.0)
    nowhere = RewardPart(by_text(lambda i: None))
    weighted = WeightedReward({"sometimes": sometimes, "logged": logged, "nowhere": nowhere})
    for _ in range(4 * MAX_SILENT_ROLLOUTS):
        scored(None, weighted=weighted, is_training=True)
