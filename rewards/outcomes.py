"""Calls a reward so that its errors cannot stop a run: each completion gets a score, None, or an error.

    reward  ->  one call for all completions  ->  where that fails, one call for each completion  ->  outcomes

The reward gets copies, so that it cannot change the samples that the learner reads. One that is ``async def`` is
awaited.

Shapes: N completions.
"""

import asyncio
import inspect
import math
import sysconfig
import traceback
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt

LARGEST_SCORE = 1e17
"""Largest absolute value of a score. Rewards are used in 32 bits, where the sum of the squares of the rewards of a
group must stay below 3.4e38: up to 8,000 of this size do."""


class ReasonedScore(float):
    """A score that says why, such as "wrong" or "no_box"; any reward may return such scores."""

    reason: str

    def __new__(cls, score: float, reason: str) -> "ReasonedScore":
        """Return the score with its reason; NaN where the reward does not know."""
        self = super().__new__(cls, score)
        self.reason = reason
        return self


Outcome = float | BaseException | None
"""A score; None where the reward does not apply; the error where the score is unknown."""

# The user ended the run, or a setting is wrong for every completion. All other exceptions are contained. That is more
# than Exception: the timeout of math_verify, which a user's reward may call, derives from BaseException, and the
# SystemExit of a user's function must not end a run as if it had succeeded.
_STOPS = (KeyboardInterrupt, ConfigError)


class Reward(Protocol):
    """Scores completions, each for the prompt at the same position.

    Any callable with this signature is a reward, also one that is ``async def``. One without the attribute ``is_rule``
    counts as a rule.
    """

    # Any, because functions and classes with other annotations are rewards too.
    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Any:
        """Return one score per completion: None where the reward does not apply, NaN where it failed.

        A reward applies to a whole prompt or does not apply: None for all completions of a prompt adds 0 to their
        totals. None for some completions of a prompt means that these scores are unknown.
        """
        ...


class UnknownScore(ValueError):
    """A reward returned no usable number for a completion."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a reward gave for N completions."""

    of_completions: list[Outcome]
    """N outcomes."""

    reasons: list[str | None]
    """N reasons, None where the reward gave none."""

    batch_error: BaseException | None
    """Why the call for all completions failed, before each was scored by itself; None where it did not fail."""


def score_outcomes(reward: Reward, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Outcomes:
    """Return what a reward gives for N completions.

    Raises:
        KeyboardInterrupt: as the reward raised it.
        ConfigError: as the reward raised it.
    """
    if not completions:
        return Outcomes([], [], None)
    (raw,) = _called(reward, [(prompts, completions)])
    batch_error = None
    if isinstance(raw, BaseException):
        batch_error, raw = raw, [raw]
        if len(completions) > 1:
            singles = _called(reward, [([p], [c]) for p, c in zip(prompts, completions, strict=True)])
            raw = [single if isinstance(single, BaseException) else single[0] for single in singles]
    outcomes = [checked_score(value) for value in raw]
    reasons = [value.reason if isinstance(value, ReasonedScore) else None for value in raw]
    return Outcomes(_unknown_among_siblings(outcomes, prompts), reasons, batch_error)


def checked_score(raw: Any) -> Outcome:
    """Return what a reward returned for one completion as a number, None, or the error that explains it."""
    if raw is None or isinstance(raw, BaseException):
        return raw
    try:
        # A reward may return tensors or numpy numbers, or an object of a user's class.
        score = float(raw)
    except _STOPS:
        raise
    except BaseException as error:
        return error
    # Written so that NaN is refused too.
    if not abs(score) <= LARGEST_SCORE:
        limit = f", which is above {LARGEST_SCORE:g} and overflows in 32 bits" if math.isfinite(score) else ""
        reason = f", with the reason {raw.reason}" if isinstance(raw, ReasonedScore) else ""
        return UnknownScore(f"returned {score}{reason}{limit}")
    return score


def place_of(error: BaseException) -> str:
    """Return the last line of user code that an error passed, as `` (file:line, in function)``; empty without one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    libraries = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    own = [frame for frame in frames if not frame.filename.startswith((*libraries, "<"))]
    if not frames:
        return ""
    last = (own or frames)[-1]
    return f" ({last.filename}:{last.lineno}, in {last.name})"


def _unknown_among_siblings(outcomes: list[Outcome], prompts: Sequence[Prompt]) -> list[Outcome]:
    """Return the outcomes with an error for each None whose prompt has another completion with a score."""
    applies_to = {prompt.uid for prompt, outcome in zip(prompts, outcomes, strict=True) if isinstance(outcome, float)}
    return [
        UnknownScore("returned None, but a score for another completion of the same prompt")
        if outcome is None and prompt.uid in applies_to
        else outcome
        for prompt, outcome in zip(prompts, outcomes, strict=True)
    ]


# --- calls ------------------------------------------------------------------------------------------------------

_Batch = tuple[Sequence[Prompt], Sequence[Completion]]


def _called(reward: Reward, batches: Sequence[_Batch]) -> list[list[Any] | BaseException]:
    """Return the raw scores of each batch, or the error of its call."""
    results: list[Any] = []
    for prompts, completions in batches:
        try:
            result = reward(*_copies(prompts, completions))
            results.append(result if inspect.isawaitable(result) else _listed(result, len(completions)))
        except _STOPS:
            raise
        except BaseException as error:
            results.append(error)
    waiting = {index: result for index, result in enumerate(results) if inspect.isawaitable(result)}
    if waiting:
        sizes = [len(batches[index][1]) for index in waiting]
        for index, result in zip(waiting, _run(_all_of(list(waiting.values()), sizes)), strict=True):
            results[index] = result
    return results


def _listed(scores: Iterable[Any], num_completions: int) -> list[Any]:
    """Return the scores as a list of the right length."""
    # Reads one score more than expected: a generator without end must not fill the memory.
    listed = list(islice(scores, num_completions + 1))
    if len(listed) != num_completions:
        number = f"more than {num_completions}" if len(listed) > num_completions else str(len(listed))
        raise UnknownScore(f"returned {number} scores for {num_completions} completions")
    return listed


def _copies(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> tuple[list[Prompt], list[Completion]]:
    """Return what a reward may edit: records and tensors of its own."""
    # Completions of one prompt share one copy of it, so a reward can recognise the prompt by identity.
    prompt_of = {id(prompt): prompt for prompt in prompts}
    copies = {key: replace(prompt, columns=_copied(prompt.columns)) for key, prompt in prompt_of.items()}
    return [copies[id(prompt)] for prompt in prompts], [
        replace(c, token_ids=c.token_ids.clone(), behavior_logps=c.behavior_logps.clone()) for c in completions
    ]


def _copied(columns: Any) -> dict[str, Any]:
    try:
        return deepcopy(dict(columns))
    except Exception:
        # A source may put objects into columns that cannot be copied, such as an open file.
        return dict(columns)


# --- async rewards ----------------------------------------------------------------------------------------------


async def _all_of(waiting: Sequence[Awaitable[Any]], sizes: Sequence[int]) -> list[Any]:
    """Return the scores of calls that run together, or the error of each."""
    return await asyncio.gather(*(_finished(one, size) for one, size in zip(waiting, sizes, strict=True)))


async def _finished(waiting: Awaitable[Any], num_completions: int) -> list[Any] | BaseException:
    try:
        return _listed(await waiting, num_completions)
    except _STOPS:
        raise
    except BaseException as error:
        return error


def _run(work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # A notebook has a running loop already, and one thread can have only one.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()
