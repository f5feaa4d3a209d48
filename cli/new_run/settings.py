"""Chooses the numbers and texts of a new config from the findings; the config states the source of each."""

from dataclasses import dataclass
from typing import Any

from algorithms import ConfigError, Prompt
from cli.new_run.look import DataLook
from cli.new_run.model import ModelLook
from datamodules.rows.prompt_template import PromptTemplate

GROUP_SIZE = 8
"""Completions per prompt, as in TRL and R1V1."""

MICRO_BATCH = 16
"""Samples of a micro-batch, as in configs/qwen2_5_vl."""

LONGEST_COMPLETION = 2048
"""Longest completion in tokens, as in EasyR1."""

_THINK = "First reason step by step inside <think> </think>. Then "
_OPENED = "First reason step by step and end the reasoning with </think>. Then "
# More different facts are too many for a regular expression.
MAX_FACTS = 60


@dataclass(frozen=True)
class Lengths:
    """Length limits in tokens."""

    prompt: int
    """Longest prompt that is kept; for pairs, longest prompt plus completion."""

    completion: int


def template_of(data: DataLook, model: ModelLook) -> PromptTemplate:
    """Return a template that asks for the form that rewards read; no hint when the questions already ask for a box."""
    if all("\\boxed" in prompt.question for prompt in data.prompts):
        return PromptTemplate()
    begin = _OPENED if model.opens_reasoning else _THINK
    has_choices = any(prompt.choices for prompt in data.prompts)
    return PromptTemplate(
        hint=f"{begin}give the final answer in \\boxed{{}}.",
        choice_hint=f"{begin}give the letter of the right choice in \\boxed{{}}." if has_choices else None,
    )


def prompt_lengths(data: DataLook, model: ModelLook) -> Lengths:
    """Return limits a quarter above the longest measured prompt, within the model's context.

    Raises:
        ConfigError: the shortest prompt fills the context.
    """
    wanted = _rounded_up(max(data.lengths) * 5 // 4)
    if model.context is None:
        return Lengths(wanted, LONGEST_COMPLETION)
    if min(data.lengths) >= model.context:
        raise ConfigError(
            f"--model {model.path!r} was made for {model.context} tokens (max_position_embeddings), and the shortest "
            f"prompt has {min(data.lengths)}: take smaller images (the processor's settings) or another model."
        )
    prompt = min(wanted, max(model.context // 2, min(max(data.lengths), model.context - 1)))
    return Lengths(prompt, min(LONGEST_COMPLETION, max(1, model.context - prompt)))


def pair_length(data: DataLook, model: ModelLook) -> int:
    """Return the limit of prompt and completion together, within the model's context."""
    wanted = _rounded_up(max(data.lengths) * 5 // 4)
    return wanted if model.context is None else min(wanted, model.context)


def prompts_per_rollout(data: DataLook) -> int:
    """Return a power of two, at most 64 and at most the number of prompts."""
    usable = len(data.prompts) if data.num_looked_at >= data.num_rows else data.num_rows
    return _power_of_two(min(64, usable))


def pairs_per_step(data: DataLook) -> tuple[int, int]:
    """Return pairs per batch and batches per step: 256 pairs as in MPO, or an eighth of a small data set."""
    wanted = _power_of_two(max(1, min(256, len(data.pairs) // 8)))
    batch = min(4, wanted)
    return batch, wanted // batch


def mention_of(data: DataLook) -> str | None:
    """Return a regular expression of the facts of the rows; None without facts or with too many different facts."""
    facts = sorted(
        {fact for prompt in data.prompts for fact in prompt.facts or ()}, key=lambda fact: (-len(fact), fact)
    )
    if not facts or len(facts) > MAX_FACTS:
        return None
    return rf"(?<!\w)(?:{'|'.join(map(_escaped, facts))})(?!\w)"


def asked(data: DataLook, model: ModelLook) -> Any:
    """Return a function that puts the template around a prompt; prompts of pairs stay unchanged."""
    if data.pairs:
        return _unchanged
    return template_of(data, model).applied


def _unchanged(prompt: Prompt) -> Prompt:
    return prompt


def _escaped(text: str) -> str:
    return "".join(rf"\{sign}" if sign in r".^$*+?{}[]\|()" else sign for sign in text)


def _power_of_two(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def _rounded_up(number: int, step: int = 64) -> int:
    return max(step, -(-number // step) * step)
