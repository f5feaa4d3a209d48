"""Which columns a reward function may read: judged on the data set, before the first step."""

from pathlib import Path
from typing import Any

import pytest

from algorithms import ConfigError
from cli.app import run
from rewards import FunctionReward, RewardPart, WeightedReward
from tests.rewards.hand_made import completion, prompt
from tests.test_training import arguments


def needs_difficulty(completions: list[str], difficulty: list[Any]) -> list[float]:
    return [1.0] * len(completions)


def weighted(function: Any) -> WeightedReward:
    return WeightedReward({"mine": RewardPart(FunctionReward(function))})


def test_a_column_that_no_row_of_a_batch_has_is_none() -> None:
    seen: list[Any] = []

    def function(completions: list[str], difficulty: list[Any], level: Any = "default", **columns: Any) -> list[float]:
        seen.extend([difficulty, level, columns["source"]])
        return [1.0] * len(completions)

    reward = weighted(function)
    reward.check_columns(["difficulty", "level", "source"])
    reward([prompt()] * 2, [completion("a")] * 2)
    assert seen == [[None, None]] * 3


def test_a_default_is_kept_for_a_column_that_the_data_set_does_not_have() -> None:
    reward = weighted(lambda completions, level=2.0: [level] * len(completions))
    reward.check_columns([])
    assert reward([prompt()], [completion("a")]).totals.tolist() == [2.0]


def test_a_column_that_the_data_does_not_have_is_named_with_those_it_has() -> None:
    told = (
        r"parts\.mine: the reward function needs_difficulty has parameters for difficulty, .*there are: answer.*level"
    )
    with pytest.raises(ConfigError, match=told):
        weighted(needs_difficulty).check_columns(["level"])


def test_a_data_set_is_never_judged_in_mid_run() -> None:
    reward = weighted(needs_difficulty)
    assert reward([prompt()], [completion("a")]).totals.tolist() == [1.0]


@pytest.mark.parametrize("name", ["prompts", "completions", "completion_ids", "finish_reasons", "keys", "images"])
def test_a_column_with_the_name_of_an_argument_is_refused(name: str) -> None:
    def everything(completions: list[str], **columns: Any) -> list[float]:
        return [1.0] * len(completions)

    with pytest.raises(ConfigError, match=f"has a column {name}, .*rename the column"):
        weighted(everything).check_columns([name, "level"])


def test_a_column_that_the_function_does_not_read_may_have_any_name() -> None:
    weighted(lambda completions: [1.0] * len(completions)).check_columns(["keys", "images"])


def test_arguments_with_a_star_are_no_columns() -> None:
    weighted(lambda *unused, completions, **columns: [1.0] * len(completions)).check_columns([])


def test_a_run_with_data_that_lacks_a_column_stops_before_its_first_step(policy: Any, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path / "policy")
    policy.processor.save_pretrained(tmp_path / "policy")
    reward = "{class_path: rewards.FunctionReward, init_args: {function: tests.rewards.test_columns_of_the_data_set."
    extra = f"--model.init_args.reward.parts.mine.reward={reward}needs_difficulty}}}}"
    with pytest.raises(ConfigError, match="needs_difficulty has parameters for difficulty"):
        run(arguments("fit", tmp_path / "policy", extra))
