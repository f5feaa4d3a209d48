"""A policy that never writes the form that the rewards read is told so after its first rollouts."""

import logging
from collections.abc import Sequence

import pytest
import torch

from algorithms import AdvantageConfig, Completion, Prompt, RewardTable
from lightning_modules.logs.idle_rollouts import MAX_IDLE_ROLLOUTS, IdleRollouts, RolloutCounts, likely_reasons
from lightning_modules.logs.missing_form import NUM_ROLLOUTS, MissingForm
from rewards.answers.reasons import Reason
from rollouts import RolloutPhase


def phase(
    accuracy: Sequence[float], *, form: Sequence[float] | None = None, reason: Reason | None = None
) -> RolloutPhase:
    """One group."""
    one = torch.zeros(1)
    group = [Completion(token_ids=one.long(), behavior_logps=one, text="", finish_reason="length") for _ in accuracy]
    total = torch.tensor([accuracy], dtype=torch.double)
    parts = {"accuracy": total} | ({} if form is None else {"format": torch.tensor([form], dtype=torch.double)})
    table = RewardTable(
        parts=parts,
        totals=total,
        rule_totals=total,
        num_failures=dict.fromkeys(parts, 0),
        reasons={} if reason is None else {"accuracy": [str(reason)] * len(accuracy)},
    )
    return RolloutPhase([Prompt(uid=0, key="0", question="?")], [group], table).with_advantages(AdvantageConfig())


def told(caplog: pytest.LogCaptureFixture, *phases: RolloutPhase) -> list[str]:
    missing = MissingForm()
    with caplog.at_level(logging.WARNING):
        for one in phases:
            missing.add(one)
    return [record.getMessage() for record in caplog.records]


WITHOUT = [
    phase([0.0] * 8, form=[0.0] * 8),
    phase([0.0] * 8, reason=Reason.NO_BOX),
    # Another part of the reward may differ all the same, so that something else is learnt.
    phase([0.0, 1.0] * 4, form=[0.0] * 8),
]


@pytest.mark.parametrize("one", WITHOUT, ids=["format", "no box", "with a signal"])
def test_three_rollouts_without_the_form_are_told_once(one: RolloutPhase, caplog: pytest.LogCaptureFixture) -> None:
    (sentence,) = told(caplog, *[one] * 3 * NUM_ROLLOUTS)
    assert sentence.startswith("THE FORM IS NEVER WRITTEN: none of the 24 completions of the first 3 rollouts")
    assert "24 are cut at model.sampling.max_new_tokens" in sentence


def test_the_sentence_says_what_the_completions_lack(caplog: pytest.LogCaptureFixture) -> None:
    (sentence,) = told(caplog, *[phase([0.0] * 4, reason=Reason.REASONING_NOT_CLOSED)] * NUM_ROLLOUTS)
    assert "12 have reasoning that does not end with </think>" in sentence


@pytest.mark.parametrize(
    "one",
    [
        phase([0.0] * 8, form=[0.0] * 7 + [1.0]),
        phase([0.0] * 8, reason=Reason.WRONG),
        phase([0.0] * 8),
    ],
    ids=["one has it", "a box was read", "no score tells"],
)
def test_nothing_is_said_where_the_form_was_written_or_no_score_tells(
    one: RolloutPhase, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(caplog, one, *[WITHOUT[0]] * 2) == []


def test_rollouts_that_come_later_are_not_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    written = phase([0.0] * 8, form=[1.0] + [0.0] * 7)
    assert told(caplog, written, *[WITHOUT[0]] * 2 * NUM_ROLLOUTS) == []


def test_it_is_said_before_the_rollouts_that_teach_nothing_are(caplog: pytest.LogCaptureFixture) -> None:
    idle = IdleRollouts()
    for _ in range(MAX_IDLE_ROLLOUTS):
        idle.add(WITHOUT[0], is_idle=True)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "THE FORM IS NEVER WRITTEN",
        "NOTHING IS LEARNT",
    ]


def test_rollouts_that_teach_nothing_for_want_of_the_form_are_not_called_too_hard() -> None:
    (reason,) = likely_reasons([RolloutCounts.of(phase([0.0] * 8, form=[0.0] * 8))._replace(num_truncated=0)] * 3)
    assert "no completion had the form that the rewards read" in reason
