"""A run in which nothing is effective for many rollouts says so once, with the likely reasons."""

import logging
import math

import pytest
import torch

from algorithms import AdvantageConfig, Completion, Prompt, RewardTable
from algorithms.records import FinishReason
from lightning_modules.logs.idle_rollouts import MAX_IDLE_ROLLOUTS, IdleRollouts, RolloutCounts, likely_reasons
from rollouts import RolloutPhase


def phase(*scores: float, finish_reason: FinishReason = "stop") -> RolloutPhase:
    """One group."""
    one = torch.zeros(1)
    group = [Completion(token_ids=one.long(), behavior_logps=one, text="", finish_reason=finish_reason) for _ in scores]
    table = torch.tensor([scores], dtype=torch.double)
    rewards = RewardTable(parts={"accuracy": table}, totals=table, rule_totals=table, num_failures={"accuracy": 0})
    scored = RolloutPhase([Prompt(uid=0, key="0", question="?")], [group], rewards)
    return scored.with_advantages(AdvantageConfig())


def add(idle: IdleRollouts, one: RolloutPhase, times: int) -> None:
    for _ in range(times):
        idle.add(one, is_idle=not one.is_effective.any())


def test_the_warning_comes_once_after_many_idle_rollouts_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    idle = IdleRollouts()
    add(idle, phase(*[0.0] * 8), MAX_IDLE_ROLLOUTS - 1)
    assert not caplog.records
    add(idle, phase(*[0.0] * 8), 3 * MAX_IDLE_ROLLOUTS)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "NOTHING IS LEARNT: none of the last 10 rollouts" in record.getMessage()
    assert "no answer was right" in record.getMessage()


def test_one_effective_group_starts_the_count_anew(caplog: pytest.LogCaptureFixture) -> None:
    idle = IdleRollouts()
    for _ in range(5):
        add(idle, phase(1.0, 1.0), MAX_IDLE_ROLLOUTS - 1)
        add(idle, phase(1.0, 0.0), 1)
    assert not caplog.records


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (phase(*[0.0] * 8), "no answer was right"),
        (phase(*[1.0] * 8), "every answer was right"),
        (phase(*[math.nan] * 8), "100% of the rewards are unknown"),
        (phase(*[0.5] * 8), "rule rewards of the completions of each prompt are equal"),
        (phase(*[0.5] * 8, finish_reason="length"), "100% of the completions are cut"),
        (phase(0.5, 0.5), "group_size is 2"),
    ],
)
def test_the_reason_is_the_one_that_the_scores_show(one: RolloutPhase, reason: str) -> None:
    (found,) = likely_reasons([RolloutCounts.of(one)] * 3)
    assert reason in found
