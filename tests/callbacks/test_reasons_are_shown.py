"""Why a completion has its score: on cards, in predictions.jsonl, and as shares in TensorBoard."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from algorithms import Completion, Prompt
from callbacks.cards import score_lines
from callbacks.predictions import PredictionWriter
from lightning_modules.logs.rollouts import rollout_metrics
from rewards import AccuracyReward, Reason, ReasonedScore, RewardPart, WeightedReward
from rollouts import RolloutPhase
from tests.rewards.hand_made import answered, completion, prompt

PROMPTS = [prompt("3"), prompt(None, uid=1), prompt("4", uid=2)]
COMPLETIONS = [
    [answered("3"), completion("a</think> 3")],
    [answered("1"), answered("2")],
    [answered("5"), answered("4")],
]


def phase(
    prompts: list[Prompt] = PROMPTS, completions: list[list[Completion]] = COMPLETIONS, reward: object = None
) -> RolloutPhase:
    weighted = WeightedReward(
        {"accuracy": RewardPart(reward or AccuracyReward(timeout_seconds=30.0)), "even": RewardPart(even)}
    )
    flat = [one for group in completions for one in group]
    table = weighted([prompt for prompt, group in zip(prompts, completions, strict=True) for _ in group], flat)
    return RolloutPhase(prompts, completions, table.view(len(prompts), -1))


def even(prompts: list[Prompt], completions: list[Completion]) -> list[float]:
    return [1.0] * len(completions)


def test_a_group_has_the_reasons_of_its_completions() -> None:
    groups = phase().groups
    assert [group.reasons_of(index) for group in groups for index in range(2)] == [
        {"accuracy": "right_text"}, {"accuracy": "no_box"}, {}, {}, {"accuracy": "wrong"}, {"accuracy": "right_text"},
    ]  # fmt: skip


def test_joined_rollouts_keep_the_reasons_of_each() -> None:
    without = phase(PROMPTS[1:2], COMPLETIONS[1:2])
    for joined, order in ((without.joined(phase()), (1, 0, 1, 2)), (phase().joined(without), (0, 1, 2, 1))):
        expected = [phase().group(index).reasons_of(1) for index in order]
        assert [group.reasons_of(1) for group in joined.groups] == expected


def test_a_line_of_scores_says_why() -> None:
    assert score_lines(phase().group(0), 1)[1] == "accuracy 0 (no box), even 1"


def test_a_file_of_predictions_says_why(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "predictions.jsonl"))
    trainer = SimpleNamespace(world_size=1, log_dir=None)
    writer.on_predict_start(trainer, None)
    writer.on_predict_batch_end(trainer, None, phase(), PROMPTS, 0)
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [c["reasons"] for c in rows[0]["completions"]] == [{"accuracy": "right_text"}, {"accuracy": "no_box"}]
    assert rows[1]["completions"][0]["reasons"] == {}


def test_the_share_of_every_reason_is_logged_and_they_add_up_to_one() -> None:
    values = rollout_metrics(phase(), tolerance=0.0, seconds=1.0)
    shares = {key: value for key, value in values.items() if key.startswith("reasons/")}
    assert set(shares) == {f"reasons/accuracy_{reason}" for reason in Reason}
    assert shares["reasons/accuracy_right_text"] == pytest.approx(0.5)
    assert shares["reasons/accuracy_no_box"] == pytest.approx(0.25)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_reward_of_a_user_may_give_reasons_of_its_own() -> None:
    def taste(prompts: list[Prompt], completions: list[Completion]) -> list[float]:
        return [ReasonedScore(1.0, "sweet"), 0.0] * (len(completions) // 2)

    values = rollout_metrics(phase(reward=taste), tolerance=0.0, seconds=1.0)
    assert {key: value for key, value in values.items() if key.startswith("reasons/")} == {
        "reasons/accuracy_sweet": 1.0
    }


def test_an_unknown_verdict_says_why_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    unknown = phase([prompt("x+*1")], [[answered("x+1"), answered("2")]])
    assert unknown.group(0).reasons_of(0) == {"accuracy": "unreadable_gold"}
    assert "unreadable_gold" in caplog.text
