from itertools import islice
from pathlib import Path

import pytest
import torch

from algorithms import BufferConfig, ConfigError, ExperienceBatch, Prompt
from datamodules import ExperienceDataModule, PromptFolder, ReadingConfig
from tests.algorithms.hand_made import samples


def batch(advantages: list[float], *, version: int = 0, first_uid: int = 0) -> ExperienceBatch:
    n = len(advantages)
    uids = torch.arange(first_uid, first_uid + n)
    return samples(
        torch.zeros(n, 2), torch.tensor(advantages), torch.ones(n, 2, dtype=torch.bool),
        prompt_uids=uids, group_ids=uids // 2, policy_versions=torch.full((n,), version),
    )  # fmt: skip


def exchange(data: ExperienceDataModule, fresh: ExperienceBatch, **settings) -> list[ExperienceBatch]:
    """As the module does: what has no advantage stays behind, but counts as sampled."""
    nothing_solved = torch.zeros(0, dtype=torch.long)
    effective = fresh.rows(fresh.advantages != 0.0)
    return data.exchange(effective, num_sampled=len(fresh), solved_uids=nothing_solved, **settings)


def module(**settings) -> ExperienceDataModule:
    return ExperienceDataModule(PromptFolder("unused"), micro_batches=2, **settings)


def test_tickets_count_rollouts_and_micro_batches_and_share_the_prompts_of_a_rollout() -> None:
    data = module(prompts_per_rollout=2)
    data.prompts["train"] = [Prompt(uid=i, key=str(i), question="?") for i in range(10)]
    tickets = list(islice(data.train_dataloader(), 4))
    assert [(t.rollout, t.micro) for t in tickets] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert tickets[0].prompts == tickets[1].prompts != tickets[2].prompts


def test_replay_fills_just_the_gap_that_samples_without_advantage_leave() -> None:
    data = module()
    exchange(data, batch([1.0, -1.0, 2.0, -2.0]), rollout=0, policy_version=0)
    micro = exchange(data, batch([1.0, -1.0, 0.0, 0.0], version=1, first_uid=10), rollout=1, policy_version=1)
    joined = ExperienceBatch.cat(micro)
    assert len(joined) == 4
    assert sorted(joined.prompt_uids[~joined.is_replay].tolist()) == [10, 11]
    assert set(joined.prompt_uids[joined.is_replay].tolist()) < {0, 1, 2, 3}
    assert joined.policy_versions[joined.is_replay].tolist() == [0, 0]


def test_a_full_rollout_gets_no_replay() -> None:
    data = module()
    exchange(data, batch([1.0, -1.0]), rollout=0, policy_version=0)
    micro = exchange(data, batch([1.0, -1.0], first_uid=5), rollout=1, policy_version=1)
    assert not ExperienceBatch.cat(micro).is_replay.any()


def test_replay_older_than_the_age_limit_is_never_drawn() -> None:
    data = module(buffer=BufferConfig(max_age=2))
    exchange(data, batch([1.0, -1.0]), rollout=0, policy_version=0)
    assert len(ExperienceBatch.cat(exchange(data, batch([0.0, 0.0]), rollout=1, policy_version=2))) == 2
    assert len(ExperienceBatch.cat(exchange(data, batch([0.0, 0.0]), rollout=2, policy_version=3))) == 0


def test_capacity_zero_switches_replay_off() -> None:
    data = module(buffer=BufferConfig(capacity=0))
    exchange(data, batch([1.0, -1.0]), rollout=0, policy_version=0)
    assert len(ExperienceBatch.cat(exchange(data, batch([0.0, 0.0]), rollout=1, policy_version=1))) == 0


def test_a_restored_buffer_gives_the_same_replay() -> None:
    straight, resumed = module(), module()
    exchange(straight, batch([1.0, -1.0, 0.5, -0.5]), rollout=0, policy_version=0)
    resumed.load_state_dict(straight.state_dict())
    drawn = [
        ExperienceBatch.cat(exchange(d, batch([0.0] * 2), rollout=1, policy_version=1)).prompt_uids.tolist()
        for d in (straight, resumed)
    ]
    assert drawn[0] == drawn[1]


def test_validation_does_not_load_the_buffers_of_training(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / f"{split}.jsonl").write_text('{"question": "?"}')
    straight = module()
    exchange(straight, batch([1.0, -1.0]), rollout=0, policy_version=0)
    # Written by two ranks: only training refuses that.
    state = {"buffers": straight.state_dict()["buffers"] * 2}
    data = ExperienceDataModule(PromptFolder(str(tmp_path)), reading=ReadingConfig(predict_split="train"))
    for stage in ("validate", "predict"):
        data.setup(stage)
        data.load_state_dict(state)
        assert len(data.buffer) == 0
    data.setup("fit")
    with pytest.raises(ConfigError, match="was written by 2 rank"):
        data.load_state_dict(state)
