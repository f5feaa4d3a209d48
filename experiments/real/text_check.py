"""Tests a language model without pictures: twenty fixed prompts, the same before and after training.

This is a check and no benchmark: it shows what training with pictures has damaged, not how good the model is.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from algorithms import Prompt
from models import Policy
from rollouts import SamplingConfig, TransformersEngine


class TextCheck(NamedTuple):
    """One prompt, and a test whether a completion follows it."""

    group: str
    question: str
    is_right: Callable[[str], bool]


def _says(*words: str) -> Callable[[str], bool]:
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words), re.IGNORECASE)
    return lambda text: pattern.search(text) is not None


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


CHECKS = (
    TextCheck("arithmetic", "What is 2 + 3?", _says("5", "five")),
    TextCheck("arithmetic", "What is 7 + 5?", _says("12", "twelve")),
    TextCheck("arithmetic", "What is 10 - 4?", _says("6", "six")),
    TextCheck("arithmetic", "What is 3 times 4?", _says("12", "twelve")),
    TextCheck("arithmetic", "What is 20 divided by 5?", _says("4", "four")),
    TextCheck("arithmetic", "What is 15 + 15?", _says("30", "thirty")),
    TextCheck("arithmetic", "I have 3 apples and buy 2 more. How many apples do I have?", _says("5", "five")),
    TextCheck("arithmetic", "Which number is larger, 9 or 4?", _says("9", "nine")),
    TextCheck("facts", "What is the capital of France?", _says("Paris")),
    TextCheck("facts", "What color is the sky on a clear day?", _says("blue")),
    TextCheck("facts", "How many days are in a week?", _says("7", "seven")),
    TextCheck("facts", "Which planet do we live on?", _says("Earth")),
    TextCheck("facts", "What is the opposite of hot?", _says("cold")),
    TextCheck("facts", "Which animal says meow?", _says("cat", "cats")),
    TextCheck("instructions", "Write a list of three fruits, one per line.", lambda text: len(_lines(text)) >= 3),
    TextCheck("instructions", "Write a sentence with the word 'river' in it.", _says("river")),
    TextCheck("instructions", "Say hello.", _says("hello", "hi")),
    TextCheck("instructions", "Translate 'good morning' into Spanish.", _says("buenos", "buenas")),
    TextCheck("instructions", "Write a question that ends with a question mark.", lambda text: "?" in text),
    TextCheck("instructions", "Name two colors.", lambda text: len(_COLORS.findall(text)) >= 2),
)
_COLORS = re.compile(r"\b(?:red|blue|green|yellow|black|white|orange|purple|pink|brown|gray|grey)\b", re.IGNORECASE)
MAX_TOKENS = 48


def text_only_check(policy: Policy) -> dict[str, float | list[str]]:
    """Return the share of right completions by group and over all, and the completions.

    Args:
        policy: with or without a vision tower; it reads no picture here.
    """
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    prompts = [Prompt(uid=i, key=f"text-{i}", question=check.question) for i, check in enumerate(CHECKS)]
    greedy = SamplingConfig(group_size=1, temperature=0.0, max_new_tokens=MAX_TOKENS)
    texts = [group[0].text for group in engine.generate(prompts, greedy, seed=0)]
    right = [check.is_right(text) for check, text in zip(CHECKS, texts, strict=True)]
    groups = dict.fromkeys(check.group for check in CHECKS)
    shares = {
        group: sum(ok for check, ok in zip(CHECKS, right, strict=True) if check.group == group)
        / sum(check.group == group for check in CHECKS)
        for group in groups
    }
    return {"all": sum(right) / len(right), **shares, "completions": texts}
