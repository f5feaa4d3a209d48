from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from algorithms import BufferConfig, ConfigError, ExperienceBatch, Prompt
from datamodules import ExperienceDataModule, PromptFolder, ReadingConfig
from lightning_modules.logs.rollouts import batch_metrics
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


class Trainer:
    """As much of Lightning's as the data module asks."""

    def __init__(self, accumulate: int, rollouts_ahead: int = 0) -> None:
        self.accumulate_grad_batches, self.lightning_module = accumulate, SimpleNamespace(rollouts_ahead=rollouts_ahead)
        self.global_rank, self.world_size = 0, 1


@pytest.mark.parametrize(("micro_batches", "accumulate"), [(4, 1), (4, 2), (6, 3), (6, 2), (4, 4), (1, 1)])
@pytest.mark.parametrize("max_age", [4, 5, 7, 8, 16])
def test_no_sample_is_used_at_an_age_above_the_limit(micro_batches: int, accumulate: int, max_age: int) -> None:
    buffer = BufferConfig(max_age=max_age, replay_share=0.5)
    data = ExperienceDataModule(PromptFolder("unused"), micro_batches=micro_batches, buffer=buffer)
    data.trainer = Trainer(accumulate)
    steps, oldest, num_replayed = micro_batches // accumulate, 0, 0
    for rollout in range(40):
        version = rollout * steps
        fresh = batch([1.0, -1.0] * 6, version=version, first_uid=100 * rollout)
        parts = exchange(data, fresh, rollout=rollout, policy_version=version)
        assert sum(int((~part.is_replay).sum()) for part in parts) == 12
        for number, part in enumerate(parts):
            ages = version + number // accumulate - part.policy_versions[part.is_replay]
            oldest, num_replayed = max([oldest, *ages.tolist()]), num_replayed + len(ages)
            assert all(1 <= age <= max_age for age in ages.tolist())
        logged = batch_metrics(parts, version, micro_batches_per_step=accumulate)
        assert logged.get("buffer/replay_age", 0.0) <= max_age
    assert num_replayed > 0
    # The limit is reached: samples are not given up before it.
    assert oldest == max_age


def test_the_logged_age_is_that_at_use() -> None:
    old = batch([1.0, -1.0], version=3).with_columns(is_replay=torch.tensor([True, True]))
    parts = [old.rows(torch.tensor([number])) for number in (0, 1, 0, 1)]
    assert batch_metrics(parts, 5, micro_batches_per_step=1)["buffer/replay_age"] == 3.5
    assert batch_metrics(parts, 5, micro_batches_per_step=2)["buffer/replay_age"] == 2.5
    assert batch_metrics(parts, 5, micro_batches_per_step=4)["buffer/replay_age"] == 2.0


def test_an_age_limit_that_rules_out_all_replay_is_refused() -> None:
    data = ExperienceDataModule(PromptFolder("unused"), micro_batches=6, buffer=BufferConfig(max_age=2))
    data.trainer = Trainer(2)
    with pytest.raises(ConfigError, match=r"^data\.buffer\.max_age must be at least 3, the optimizer steps"):
        data.setup("fit")


def test_the_limit_counts_that_a_rollout_sampled_ahead_is_one_rollout_older() -> None:
    data = ExperienceDataModule(PromptFolder("unused"), micro_batches=6, buffer=BufferConfig(max_age=5))
    data.trainer = Trainer(2, rollouts_ahead=1)
    with pytest.raises(
        ConfigError, match=r"^data\.buffer\.max_age must be at least 6, the optimizer steps of two rollouts"
    ):
        data.setup("fit")


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
