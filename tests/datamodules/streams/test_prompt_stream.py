"""Streams: which rows a rank sees, in which order, and that a resumed stream goes on as if it had never stopped."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from algorithms import ConfigError, DataError, Prompt
from datamodules.rows.columns.column_map import ColumnMap
from datamodules.sources.hub_prompts import HubPrompts
from datamodules.sources.mixture import MixedSource, PromptMixture
from datamodules.sources.prompt_folder import PromptFolder
from datamodules.streams.prompt_stream import PromptStream, uid_of
from datamodules.streams.rollout_stream import RolloutStream
from tests.datamodules.public_layouts.pieces import embedded, json_lines, parquet, seed_of


def write_folder(folder: Path, name: str, shards: int, rows: int) -> PromptFolder:
    for shard in range(shards):
        content = [{"question": f"{name} {shard}.{row}"} for row in range(rows)]
        json_lines(folder / name / f"train-{shard:05d}-of-{shards:05d}.jsonl", content)
    return PromptFolder(str(folder / name), train="train-*.jsonl", streamed=True)


def write_hub(folder: Path, shards: int, rows: int) -> HubPrompts:
    """A folder of parquet files that ``datasets`` loads, with a picture in each row."""
    for shard in range(shards):
        seeds = [shard * rows + row for row in range(rows)]
        content = [{"problem": f"hub {seed}", "picture": embedded(seed)} for seed in seeds]
        parquet(folder / "hub" / "data" / f"train-{shard:05d}-of-{shards:05d}.parquet", content)
    columns = ColumnMap(question="problem", images="picture")
    return HubPrompts(str(folder / "hub"), columns=columns, streamed=True)


def stream(source: PromptFolder, **settings: Any) -> PromptStream:
    settings = {"seed": 0, "window": 5, **settings}
    return PromptStream(source.streamed_parts(max_image_pixels=10**6), **settings)


def questions(prompts: list[Prompt]) -> list[str]:
    return [prompt.question for prompt in prompts]


def test_a_pass_shows_every_row_once_in_another_order_each_time(tmp_path: Path) -> None:
    rows = stream(write_folder(tmp_path, "a", shards=3, rows=7))
    first, second = questions(rows.take(21)), questions(rows.take(21))
    assert sorted(first) == sorted(second) == sorted(f"a {shard}.{row}" for shard in range(3) for row in range(7))
    assert first != second
    assert first != sorted(first)


def test_the_order_is_a_function_of_the_seed(tmp_path: Path) -> None:
    source = write_folder(tmp_path, "a", shards=2, rows=9)
    orders = [questions(stream(source, seed=seed).take(18)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("shards", [1, 2, 3, 8])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_rows_whatever_the_number_of_shards(tmp_path: Path, shards: int, world_size: int) -> None:
    source = write_folder(tmp_path, "a", shards=shards, rows=6)
    everything = {f"a {shard}.{row}" for shard in range(shards) for row in range(6)}
    # Further than a pass of any rank.
    seen = [set(questions(stream(source, rank=rank, world_size=world_size).take(100))) for rank in range(world_size)]
    assert set.union(*seen) == everything
    assert sum(map(len, seen)) == len(everything)


def test_workers_of_a_loader_share_the_rows_of_their_rank(tmp_path: Path) -> None:
    source = write_folder(tmp_path, "a", shards=4, rows=4)
    loader = DataLoader(stream(source), batch_size=None, num_workers=2)
    batches = iter(loader)
    assert Counter(next(batches).question for _ in range(16)).most_common(1)[0][1] == 1


@pytest.mark.parametrize("stop", [0, 1, 4, 5, 6, 12, 13, 14, 15, 29, 40])
def test_a_stream_resumed_anywhere_goes_on_as_if_it_had_not_stopped(tmp_path: Path, stop: int) -> None:
    source = write_folder(tmp_path, "a", shards=2, rows=7)
    unbroken = stream(source)
    unbroken.take(stop)
    # Through JSON: the state is plain numbers.
    state = json.loads(json.dumps(unbroken.state_dict()))
    resumed = stream(source)
    resumed.load_state_dict({**state, "parts": {int(part): each for part, each in state["parts"].items()}})
    assert questions(resumed.take(30)) == questions(unbroken.take(30))


@pytest.mark.parametrize("stop", [1, 17, 50])
def test_a_mixture_of_two_streamed_sources_resumed_in_mid_epoch_gives_the_same_order(tmp_path: Path, stop: int) -> None:
    sources = {
        "files": MixedSource(write_folder(tmp_path, "a", 2, 8), 3.0),
        "hub": MixedSource(write_hub(tmp_path, 2, 6)),
    }
    unbroken, resumed = (stream(PromptMixture(sources)) for _ in range(2))
    unbroken.take(stop)
    resumed.load_state_dict(unbroken.state_dict())
    these, those = unbroken.take(40), resumed.take(40)
    assert [(prompt.uid, prompt.question) for prompt in these] == [(prompt.uid, prompt.question) for prompt in those]
    pictures = [[seed_of(image.load()) for image in prompt.images] for prompt in these]
    assert pictures == [[seed_of(image.load()) for image in prompt.images] for prompt in those]
    assert any(pictures)
    assert not all(pictures)


def test_a_mixture_has_its_shares_in_every_block(tmp_path: Path) -> None:
    sources = {
        "a": MixedSource(write_folder(tmp_path, "a", 1, 8), 3.0),
        "b": MixedSource(write_folder(tmp_path, "b", 1, 8)),
    }
    counts = Counter(prompt.question[0] for prompt in stream(PromptMixture(sources)).take(1024))
    assert counts == {"a": 768, "b": 256}


def test_uids_tell_rows_apart_and_find_them_again(tmp_path: Path) -> None:
    sources = {"a": MixedSource(write_folder(tmp_path, "a", 2, 5)), "b": MixedSource(write_folder(tmp_path, "b", 1, 5))}
    rows = stream(PromptMixture(sources))
    prompts = {prompt.uid: prompt.question for prompt in rows.take(200)}
    assert len(prompts) == len(set(prompts.values())) == 15
    assert prompts[uid_of(1, 0, 3)] == "b 0.3"
    found = stream(PromptMixture(sources)).find([*prompts, uid_of(0, 1, 99)])
    assert {uid: prompt.question for uid, prompt in found.items()} == prompts


def test_bad_rows_are_left_out_counted_and_told_but_not_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    json_lines(tmp_path / "train.jsonl", [{"question": "good"}, *[{"question": ""}] * 4])
    rows = stream(PromptFolder(str(tmp_path), streamed=True))
    assert set(questions(rows.take(5))) == {"good"}
    assert rows.rejected == {"empty question": 20}
    assert caplog.text.count("rejected so far") == 2


def test_a_pass_without_a_usable_row_ends_with_the_reasons(tmp_path: Path) -> None:
    json_lines(tmp_path / "train.jsonl", [{"question": ""}])
    with pytest.raises(DataError, match=r"no row that can be used in a whole pass.*empty question"):
        stream(PromptFolder(str(tmp_path), streamed=True)).next()


def test_a_rollout_asked_for_again_has_the_same_prompts_also_after_a_resume(tmp_path: Path) -> None:
    source = write_folder(tmp_path, "a", shards=2, rows=9)
    unbroken = RolloutStream(stream(source), per_rollout=4)
    seen = [questions(list(unbroken.prompts(rollout))) for rollout in (0, 0, 1, 3)]
    assert seen[0] == seen[1] != seen[2]
    resumed = RolloutStream(stream(source), per_rollout=4)
    resumed.load_state_dict(unbroken.state_dict())
    assert questions(list(resumed.prompts(3))) == seen[3]
    assert questions(list(resumed.prompts(4))) == questions(list(unbroken.prompts(4)))


def test_prompts_in_use_are_held_and_others_forgotten(tmp_path: Path) -> None:
    rollouts = RolloutStream(stream(write_folder(tmp_path, "a", shards=1, rows=9)), per_rollout=2)
    first, second, third = (rollouts.prompts(number) for number in range(3))
    rollouts.keep([first[0].uid])
    held = [rollouts.held(prompt.uid) is not None for prompt in (*first, *second, *third)]
    assert held == [True, False, True, True, True, True]


def test_the_rollout_that_is_learnt_from_may_be_asked_for_after_the_one_sampled_ahead(tmp_path: Path) -> None:
    source = write_folder(tmp_path, "a", shards=2, rows=9)
    plain, unbroken = RolloutStream(stream(source), per_rollout=4), RolloutStream(stream(source), per_rollout=4)
    expected = [questions(list(plain.prompts(number))) for number in range(4)]
    for number in (0, 1, 0, 1, 2, 1):
        assert questions(list(unbroken.prompts(number))) == expected[number]
    resumed = RolloutStream(stream(source), per_rollout=4)
    resumed.load_state_dict(unbroken.state_dict())
    for number in (1, 2, 3, 2):
        assert questions(list(resumed.prompts(number))) == expected[number]


def test_a_checkpoint_of_a_run_without_rollouts_ahead_goes_on(tmp_path: Path) -> None:
    source = write_folder(tmp_path, "a", shards=2, rows=9)
    unbroken = RolloutStream(stream(source), per_rollout=4)
    before = unbroken.stream.state_dict()
    expected = [questions(list(unbroken.prompts(number))) for number in (5, 6)]
    resumed = RolloutStream(stream(source), per_rollout=4)
    resumed.load_state_dict({"before": before, "rollout": 5})
    assert [questions(list(resumed.prompts(number))) for number in (5, 6)] == expected


@pytest.mark.parametrize(
    ("weights", "streamed", "named"),
    [
        ((1.0, 0.0), (True, True), "weight must be a number above 0"),
        ((1.0, 1.0), (True, False), "streamed must be the same"),
    ],
)
def test_a_mixture_that_cannot_be_mixed_is_refused(tmp_path: Path, weights: Any, streamed: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        PromptMixture(
            {str(i): MixedSource(PromptFolder(str(tmp_path), streamed=streamed[i]), weights[i]) for i in range(2)}
        )


def test_a_share_too_small_for_a_block_is_refused(tmp_path: Path) -> None:
    sources = {
        "a": MixedSource(write_folder(tmp_path, "a", 1, 2), 5000.0),
        "b": MixedSource(write_folder(tmp_path, "b", 1, 2)),
    }
    with pytest.raises(ConfigError, match="would never be drawn"):
        stream(PromptMixture(sources))
