"""Plain functions as rewards, with TRL's signature.

def short(prompts, completions, **columns) -> list[float | None]: ...

reward: {class_path: rewards.FunctionReward, init_args: {function: my_module.short}}
"""

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt

# Arguments that are no columns of the data; they would hide a column of the same name.
_ARGUMENTS = ("prompts", "completions", "completion_ids", "finish_reasons", "answer", "facts", "keys", "images")


class FunctionReward:
    """Calls ``function(prompts=..., completions=..., **columns)``, everything by name and one entry per completion.

    Columns are those of the data's rows (None where a row has none), and ``completion_ids``, ``finish_reasons``,
    ``answer``, ``facts``, ``keys`` and ``images``. A function gets the columns that it has parameters for, or all of
    them with ``**columns``. ``images`` (a list of PIL images per completion) needs a parameter of that name, because
    images are opened only for a function that uses them. A function may be ``async def``.
    """

    # Any: scores, or what an async function returns.
    def __init__(self, function: Callable[..., Any], conversational: bool = False) -> None:
        """Wrap the function.

        Args:
            function: import path of the function. Where it returns None for all completions of a prompt, it does not
                apply to the prompt; None for some of them is an unknown score.
            conversational: pass prompts and completions as lists of messages with ``role`` and ``content``, as TRL
                does for chat data; False passes texts.
        """
        # Read once, here: which columns to build depends on the signature only.
        parameters = inspect.signature(function).parameters.values()
        self.function, self.conversational = function, conversational
        starred = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        self.takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self.named = {p.name for p in parameters if p.kind not in starred}
        self.required = {p.name for p in parameters if p.default is inspect.Parameter.empty} & self.named
        # Columns of the whole data set; empty until check_columns is called.
        self.columns: frozenset[str] = frozenset()

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse data that the function cannot be called with, and remember the columns.

        Args:
            columns: names of the columns of the whole data set; a row need not have all of them.

        Raises:
            ConfigError: when the function needs a column that the data does not have, or when a column has the name of
                another argument.
        """
        if missing := sorted(self.required - {*columns, *_ARGUMENTS}):
            raise ConfigError(
                f"the reward function {self._name} has parameters for {', '.join(missing)}, which the data does not "
                f"have; there are: {', '.join(sorted({*columns, *_ARGUMENTS}))}."
            )
        passed = set(_ARGUMENTS) if self.takes_all else self.named & set(_ARGUMENTS)
        if lost := sorted(passed & set(columns)):
            raise ConfigError(
                f"the data has a column {', '.join(lost)}, but the reward function {self._name} gets another argument "
                "of this name: rename the column."
            )
        self.columns = frozenset(columns)

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Any:
        """Return the function's scores; those of an async function must be awaited, which ``WeightedReward`` does."""
        columns = self._columns(prompts, completions)
        passed = columns if self.takes_all else {name: columns[name] for name in columns.keys() & self.named}
        return self.function(**passed)

    def _columns(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[Any]]:
        # Rows differ in their columns: a column of the data set may be absent from all rows of one batch.
        names = {*self.columns, *(self.required - set(_ARGUMENTS)), *(c for prompt in prompts for c in prompt.columns)}
        columns: dict[str, list[Any]] = {name: [prompt.columns.get(name) for prompt in prompts] for name in names}
        columns |= {
            "prompts": [self._message("user", prompt.question) for prompt in prompts],
            "completions": [self._message("assistant", completion.text) for completion in completions],
            "completion_ids": [completion.token_ids.tolist() for completion in completions],
            "finish_reasons": [completion.finish_reason for completion in completions],
            "answer": [prompt.answer for prompt in prompts],
            "facts": [None if prompt.facts is None else list(prompt.facts) for prompt in prompts],
            "keys": [prompt.key for prompt in prompts],
        }
        if "images" in self.named:
            # Prompts are recognised by identity, so the images of a prompt are opened once for all its completions.
            prompt_of = {id(prompt): prompt for prompt in prompts}
            images = {key: [image.load() for image in prompt.images] for key, prompt in prompt_of.items()}
            # A list for each completion, so that a function may edit it.
            columns["images"] = [list(images[id(prompt)]) for prompt in prompts]
        return columns

    @property
    def _name(self) -> str:
        # A callable object or a partial has no name.
        return getattr(self.function, "__name__", repr(self.function))

    def _message(self, role: str, text: str) -> Any:
        return [{"role": role, "content": text}] if self.conversational else text
