import json
from pathlib import Path

import pytest

from algorithms import ConfigError, DataError, Prompt
from datamodules.sources.prompt_pool import PoolEntry, PromptPool, read_entries, summary

PROMPTS = [Prompt(uid=i, key=f"row-{i}", question="?") for i in range(4)]


def pool_file(folder: Path, num_correct: list[int]) -> str:
    path = folder / "pool.jsonl"
    path.write_text("".join(PoolEntry(i, f"row-{i}", 4, c).line() for i, c in enumerate(num_correct)))
    return str(path)


def test_prompts_with_mixed_outcomes_are_kept_in_their_order(tmp_path: Path) -> None:
    path = pool_file(tmp_path, [0, 3, 4, 1])
    assert [p.key for p in PromptPool(path=path).select(PROMPTS)] == ["row-1", "row-3"]


def test_the_bounds_are_left_out_themselves(tmp_path: Path) -> None:
    path = pool_file(tmp_path, [1, 2, 3, 4])
    assert [p.key for p in PromptPool(path=path, above=0.25, below=0.75).select(PROMPTS)] == ["row-1"]


def test_a_pool_of_other_prompts_is_refused(tmp_path: Path) -> None:
    path = pool_file(tmp_path, [1, 1, 1])
    with pytest.raises(DataError, match=r"lacks 1 of 4 training prompts, such as 'row-3'"):
        PromptPool(path=path).select(PROMPTS)


def test_a_pool_that_keeps_nothing_says_what_is_in_it(tmp_path: Path) -> None:
    path = pool_file(tmp_path, [0, 0, 4, 4])
    with pytest.raises(DataError, match=r"keeps none of 4 prompts: 2 never solved, 0 sometimes solved, 2 always"):
        PromptPool(path=path).select(PROMPTS)


def test_a_missing_file_and_impossible_bounds_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.pool\.path is .* no such file"):
        PromptPool(path=str(tmp_path / "none.jsonl")).select(PROMPTS)
    with pytest.raises(ConfigError, match=r"got above = 0\.5 and below = 0\.5"):
        PromptPool(path="x", above=0.5, below=0.5)


def test_a_line_cut_by_a_kill_does_not_count(tmp_path: Path) -> None:
    path = Path(pool_file(tmp_path, [1, 2]))
    path.write_text(path.read_text()[:-5])
    assert [entry.uid for entry in read_entries(path)] == [0]


def test_the_summary_counts_every_prompt_once(tmp_path: Path) -> None:
    counts = summary(read_entries(Path(pool_file(tmp_path, [0, 3, 4, 3]))))
    assert counts["prompts"] == 4
    assert (counts["never_solved"], counts["sometimes_solved"], counts["always_solved"]) == (1, 2, 1)
    assert json.loads(json.dumps(counts))["prompts_by_num_correct"] == {"0": 1, "3": 2, "4": 1}
    assert counts["mean_pass_rate"] == pytest.approx(0.625)
