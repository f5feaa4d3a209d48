"""The system turn of a prompt reaches the policy and the reward model in front of the user turn."""

from dataclasses import replace

import pytest

from algorithms import Prompt
from models import Policy


@pytest.mark.parametrize("kind", ["tiny", "qwen2_5_vl"])
def test_a_system_turn_stands_in_front_of_the_question(
    kind: str, policy: Policy, request: pytest.FixtureRequest
) -> None:
    encoder = (policy if kind == "tiny" else request.getfixturevalue("qwen_vl_policy")).encoder
    prompt = Prompt(uid=0, key="0", question="how many red ?")
    plain, told = encoder.chat_text(prompt), encoder.chat_text(replace(prompt, system="count blue"))
    assert "count blue" not in plain
    assert told.index("count blue") < told.index("how many red ?")
    # What follows the system turn is as it was.
    assert told.endswith(plain[plain.index("how many red ?") :])
    assert encoder.length(replace(prompt, system="count blue")) > encoder.length(prompt)
