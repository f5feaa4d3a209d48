from itertools import islice

import torch

from algorithms import BufferConfig, ExperienceBatch, Prompt
from datamodules import ExperienceDataModule, PromptFolder


def batch(advantages: list[float], *, version: int = 0, first_uid: int = 0) -> ExperienceBatch:
    n = len(advantages)
    return ExperienceBatch(
        prompt_uids=torch.arange(first_uid, first_uid + n),
        completion_ids=torch.ones(n, 2, dtype=torch.long),
        is_completion=torch.ones(n, 2, dtype=torch.bool),
        behavior_logps=torch.zeros(n, 2),
        advantages=torch.tensor(advantages),
        policy_versions=torch.full((n,), version),
        is_replay=torch.zeros(n, dtype=torch.bool),
    )


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
    data.exchange(batch([1.0, -1.0, 2.0, -2.0]), rollout=0, policy_version=0)
    micro = data.exchange(batch([1.0, -1.0, 0.0, 0.0], version=1, first_uid=10), rollout=1, policy_version=1)
    joined = ExperienceBatch.cat(micro)
    assert len(joined) == 4
    assert sorted(joined.prompt_uids[~joined.is_replay].tolist()) == [10, 11]
    assert set(joined.prompt_uids[joined.is_replay].tolist()) < {0, 1, 2, 3}
    assert joined.policy_versions[joined.is_replay].tolist() == [0, 0]


def test_a_full_rollout_gets_no_replay() -> None:
    data = module()
    data.exchange(batch([1.0, -1.0]), rollout=0, policy_version=0)
    micro = data.exchange(batch([1.0, -1.0], first_uid=5), rollout=1, policy_version=1)
    assert not ExperienceBatch.cat(micro).is_replay.any()


def test_replay_older_than_the_age_limit_is_never_drawn() -> None:
    data = module(buffer=BufferConfig(max_age=2))
    data.exchange(batch([1.0, -1.0]), rollout=0, policy_version=0)
    assert len(ExperienceBatch.cat(data.exchange(batch([0.0, 0.0]), rollout=1, policy_version=2))) == 2
    assert len(ExperienceBatch.cat(data.exchange(batch([0.0, 0.0]), rollout=2, policy_version=3))) == 0


def test_capacity_zero_switches_replay_off() -> None:
    data = module(buffer=BufferConfig(capacity=0))
    data.exchange(batch([1.0, -1.0]), rollout=0, policy_version=0)
    assert len(ExperienceBatch.cat(data.exchange(batch([0.0, 0.0]), rollout=1, policy_version=1))) == 0


def test_a_restored_buffer_gives_the_same_replay() -> None:
    straight, resumed = module(), module()
    straight.exchange(batch([1.0, -1.0, 0.5, -0.5]), rollout=0, policy_version=0)
    resumed.load_state_dict(straight.state_dict())
    drawn = [
        ExperienceBatch.cat(d.exchange(batch([0.0] * 2), rollout=1, policy_version=1)).prompt_uids.tolist()
        for d in (straight, resumed)
    ]
    assert drawn[0] == drawn[1]
