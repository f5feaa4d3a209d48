"""Rows that a module cannot use: prompts that are too long, and pairs that its policy could never produce.

Only the module has the tokenizer and the image processor, so it measures and judges. Nothing is truncated.
"""

from typing import Protocol, runtime_checkable

from algorithms.errors import ConfigError
from algorithms.records import PreferencePair, Prompt
from datamodules.rows.pair_rows import PairRows
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection, by_row


# Protocols, because data modules must not import lightning_modules.
@runtime_checkable
class CountsTokens(Protocol):
    """What a module must offer when prompts have a longest length."""

    def prompt_length(self, prompt: Prompt) -> int:
        """Return the number of tokens of a prompt as the policy reads it, every image expanded to its tokens."""
        ...


@runtime_checkable
class JudgesPairs(Protocol):
    """What a module may offer, and must when pairs have a longest length."""

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        """Return why a pair cannot be learned from, as a reason to count by and a detail; None when it can."""
        ...


def reject_long_prompts(rows: PromptRows, max_prompt_tokens: int, module: object) -> PromptRows:
    """Move the prompts that are longer than allowed to the rejections.

    Args:
        rows: prompts and rejections so far.
        max_prompt_tokens: longest prompt that is kept.
        module: counts the tokens.

    Raises:
        ConfigError: The module cannot count tokens.
    """
    if not isinstance(module, CountsTokens):
        raise ConfigError(
            f"data.reading.max_prompt_tokens must be null with {type(module).__name__}, got {max_prompt_tokens}: this "
            "module has no method prompt_length that counts the tokens of a prompt."
        )
    # Each prompt is measured once: that loads its images, whose sizes decide the number of tokens.
    lengths = [(prompt, module.prompt_length(prompt)) for prompt in rows.prompts]
    kept = tuple(prompt for prompt, length in lengths if length <= max_prompt_tokens)
    rejected = tuple(
        Rejection(
            prompt.uid,
            prompt.key,
            "too many tokens",
            f"{length} tokens, data.reading.max_prompt_tokens is {max_prompt_tokens}",
        )
        for prompt, length in lengths
        if length > max_prompt_tokens
    )
    return PromptRows(kept, by_row(rows.rejections + rejected), rows.num_rows)


def reject_unusable_pairs(rows: PairRows, max_pair_tokens: int | None, module: object | None) -> PairRows:
    """Move the pairs that the module cannot learn from to the rejections.

    Args:
        rows: pairs and rejections so far.
        max_pair_tokens: longest prompt plus completion that is kept; None keeps all.
        module: judges the pairs, when it can; None: none is judged.

    Raises:
        ConfigError: There is a longest length, and the module cannot judge pairs.
    """
    if not isinstance(module, JudgesPairs):
        if max_pair_tokens is not None and module is not None:
            raise ConfigError(
                f"data.max_pair_tokens must be null with {type(module).__name__}, got {max_pair_tokens}: this module "
                "has no method pair_problem that counts the tokens of a pair."
            )
        return rows
    # Without a longest length too: a pair may hold a token that the policy is not allowed to sample.
    problems = [(pair, module.pair_problem(pair, max_pair_tokens)) for pair in rows.pairs]
    kept = tuple(pair for pair, problem in problems if problem is None)
    rejected = tuple(Rejection(pair.uid, pair.prompt.key, *problem) for pair, problem in problems if problem)
    return PairRows(kept, by_row(rows.rejections + rejected), rows.num_rows)
