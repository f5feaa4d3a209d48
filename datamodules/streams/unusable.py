"""Rejects rows that a module cannot use: prompts that are too long or unreadable, and pairs that its policy could never
produce.

Only the module has the tokenizer and the image processor, so the module measures and checks. A row at which one of them
fails is left out alone. No row is truncated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from algorithms.errors import ConfigError, PromptError
from algorithms.records import PreferencePair, Prompt
from datamodules.rows.pair_rows import PairRows
from datamodules.rows.prompt_rows import PromptRows
from datamodules.rows.rejections import Rejection, by_row

Problem = tuple[str, str] | None
"""A reason, by which rows are counted, and a detail; None: there is no problem."""


# Protocols, because data modules must not import lightning_modules.
@runtime_checkable
class CountsTokens(Protocol):
    """A module that counts tokens, which is required when prompts have a length limit.

    It may also have ``longest_prompt``: most tokens that its model can read before a completion, or None.
    """

    def prompt_length(self, prompt: Prompt) -> int:
        """Return the number of tokens of a prompt as the policy reads it, every image expanded to its tokens."""
        ...


@runtime_checkable
class JudgesPairs(Protocol):
    """A module that checks pairs, which is required when pairs have a length limit."""

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> Problem:
        """Return why a pair cannot be used for learning: a reason for counting, and a detail; None for a good pair."""
        ...


def reject_unusable_prompts(rows: PromptRows, max_prompt_tokens: int | None, module: object) -> PromptRows:
    """Move the prompts that the module cannot read, or that are too long for it, to the rejections.

    Args:
        rows: prompts and rejections so far.
        max_prompt_tokens: longest prompt that is kept; None: only the module's own limit.
        module: counts the tokens.

    Raises:
        ConfigError: There is a length limit, and the module cannot count tokens.
    """
    if not isinstance(module, CountsTokens):
        if max_prompt_tokens is None:
            return rows
        raise ConfigError(
            f"data.reading.max_prompt_tokens must be null with {type(module).__name__}, got {max_prompt_tokens}: this "
            "module has no method prompt_length that counts the tokens of a prompt."
        )
    # Read first, because it builds the model: an error of building must not count as the fault of a row.
    limits = _limits(max_prompt_tokens, getattr(module, "longest_prompt", None))
    # Each prompt is measured once, because measuring loads its images, whose sizes determine the number of tokens.
    problems = [(prompt, _contained(_length_problem, module, prompt, limits)) for prompt in rows.prompts]
    kept = tuple(prompt for prompt, problem in problems if problem is None)
    rejected = tuple(Rejection(prompt.uid, prompt.key, *problem) for prompt, problem in problems if problem)
    return replace(rows, prompts=kept, rejections=by_row(rows.rejections + rejected))


def reject_unusable_pairs(rows: PairRows, max_pair_tokens: int | None, module: object | None) -> PairRows:
    """Move the pairs that the module cannot learn from to the rejections.

    Args:
        rows: pairs and rejections so far.
        max_pair_tokens: longest prompt plus completion that is kept; None keeps pairs of any length.
        module: checks the pairs, if it can; None: pairs are not checked.

    Raises:
        ConfigError: There is a length limit, and the module cannot check pairs.
    """
    if not isinstance(module, JudgesPairs):
        if max_pair_tokens is not None and module is not None:
            raise ConfigError(
                f"data.max_pair_tokens must be null with {type(module).__name__}, got {max_pair_tokens}: this module "
                "has no method pair_problem that counts the tokens of a pair."
            )
        return rows
    # The model is built first, because an error of building must not count as the fault of a row. ``longest_prompt``
    # does not serve for this: it leaves room for completions, which a module that has only pairs never samples.
    if build := getattr(module, "configure_model", None):
        build()
    # Checked also without a length limit: a pair may hold a token that the policy is not allowed to sample.
    problems = [(pair, _contained(module.pair_problem, pair, max_pair_tokens)) for pair in rows.pairs]
    kept = tuple(pair for pair, problem in problems if problem is None)
    rejected = tuple(Rejection(pair.uid, pair.prompt.key, *problem) for pair, problem in problems if problem)
    return PairRows(kept, by_row(rows.rejections + rejected), rows.num_rows)


def _limits(max_prompt_tokens: int | None, longest_prompt: int | None) -> list[tuple[int, str]]:
    """Return the largest numbers of tokens, each with the words for it, the smallest first."""
    limits = [
        (max_prompt_tokens, f"data.reading.max_prompt_tokens is {max_prompt_tokens}"),
        (longest_prompt, f"the model reads {longest_prompt} with room for a completion"),
    ]
    return sorted((limit, words) for limit, words in limits if limit is not None)


def _length_problem(module: CountsTokens, prompt: Prompt, limits: Sequence[tuple[int, str]]) -> Problem:
    # Measured also without a limit: an image that the processor refuses would otherwise stop training later.
    length = module.prompt_length(prompt)
    if limits and length > limits[0][0]:
        return "too many tokens", f"{length} tokens, {limits[0][1]}"
    return None


def _contained(judge: Callable[..., Problem], *args: Any) -> Problem:
    """Return the result of a check; an error about a row becomes a problem of this row.

    Raises:
        ConfigError: A setting is wrong, so that no row can be checked.
    """
    try:
        return judge(*args)
    except ConfigError:
        raise
    except PromptError as error:
        return error.reason, error.detail
    except Exception as error:  # templates, tokenizers and processors raise errors of any class, also StopIteration
        lines = str(error).splitlines() or [""]
        return "the model cannot read it", f"{type(error).__name__}: {lines[0][:200]}"
