"""What a scripted model says to the questions of the fixtures, and the scores that follow by hand."""

import re
from typing import Any

from tests.evaluation.fake_endpoint import Reply

NUMBERED = re.compile(r"\[synthetic\].*?(?:Question|number|thing|Problem|Task|Weather) (\d+)", re.DOTALL)
CODE = "```python\n{}\n```"


def _call(city: str) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _boxed(answer: str) -> str:
    return f"Some reasoning.\nAnswer: \\boxed{{{answer}}}"


SAID: dict[str, dict[int, Reply]] = {
    "mmmu": {1: _boxed("A"), 2: _boxed("7"), 3: _boxed("B"), 4: _boxed("D")},
    "mmmu_pro": {1: _boxed("B"), 2: _boxed("C")},
    "math_vista": {1: _boxed("5"), 2: _boxed("8"), 3: _boxed("B"), 4: _boxed("A")},
    "math_vision": {1: _boxed("5"), 2: _boxed("0.5"), 3: _boxed("B"), 4: _boxed("C")},
    "olympiad_bench": {1: _boxed("12"), 2: _boxed("3.145"), 3: _boxed("8")},
    "aime24": {1: _boxed("204"), 2: _boxed("34")},
    "live_code_bench": {1: CODE.format("print(2 * int(input()))"), 2: CODE.format("print(3 * int(input()))")},
    "ifeval": {1: "no commas here", 2: "a blue sky above", 3: "Not in Lower Case"},
    "bfcl": {1: _call("Paris"), 2: _call("Milan")},
    # random: yes no yes no; popular: yes no; adversarial: yes no
    "pope": {0: "Yes", 1: "Yes", 2: "Yes", 3: "No", 4: "Yes", 5: "No", 6: "No", 7: "No"},
    # gold: yes no | no yes, two questions about two figures
    "hallusion_bench": {1: "Yes", 2: "No", 3: "Yes", 4: "Yes"},
}
ACCURACY: dict[str, float] = {
    "mmmu": 3 / 4, "mmmu_pro": 1 / 2, "math_vista": 3 / 4, "math_vision": 3 / 4, "olympiad_bench": 2 / 3,
    "aime24": 1 / 2, "live_code_bench": 1 / 2, "ifeval": 2 / 3, "bfcl": 1 / 2, "pope": 6 / 8, "hallusion_bench": 3 / 4,
}  # fmt: skip
"""Right answers over questions."""

FURTHER: dict[str, dict[str, float]] = {
    # Two of three prompts; three of their four instructions.
    "ifeval": {"inst_level_strict/weighted_mean": 3 / 4},
    "hallusion_bench": {"accuracy/overall/figure": 1 / 2, "accuracy/overall/question": 1 / 2},
    # F1 of the splits: 4/5 over four questions, 1 over two, 0 over two.
    "pope": {"f1": (4 * 4 / 5 + 2 * 1 + 2 * 0) / 8, "precision": (4 * 2 / 3 + 2 * 1 + 2 * 0) / 8},
}
"""Scores of the report, by evalscope's name."""


def reply_of(benchmark: str):
    """Return the scripted model of a benchmark."""

    def reply(text: str) -> Reply:
        found = NUMBERED.search(text)
        assert found, text
        return SAID[benchmark][int(found[1])]

    return reply
