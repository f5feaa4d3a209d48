import re
from typing import Any

import pytest

from algorithms import ConfigError
from rollouts import SamplingConfig


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"group_size": 0}, "model.sampling.group_size must be at least 1, got 0: no prompt would get a completion."),
        (
            {"temperature": -0.5},
            "model.sampling.temperature must be at least 0, got -0.5: 0 takes the likeliest token.",
        ),
        ({"temperature": float("nan")}, "model.sampling.temperature must be at least 0, got nan"),
        ({"max_new_tokens": 0}, "model.sampling.max_new_tokens must be at least 1, got 0: every completion"),
    ],
)
def test_a_setting_that_is_too_small_is_refused_with_its_key(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}"):
        SamplingConfig(**setting)


def test_one_completion_per_prompt_and_greedy_sampling_are_allowed() -> None:
    assert SamplingConfig(group_size=1, temperature=0.0).max_new_tokens == 512
