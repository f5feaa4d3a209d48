"""Plain functions as rewards, with TRL's signature.

def short(prompts, completions, **columns) -> list[float | None]: ...

reward: {class_path: rewards.FunctionReward, init_args: {function: my_module.short}}
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from algorithms.errors import ConfigError
from algorithms.records import Completion, Prompt


class FunctionReward:
    """Calls ``function(prompts=..., completions=..., **columns)``, everything by name and one entry per completion.

    Columns are those of the data's rows (None where a row has none), and ``completion_ids``, ``finish_reasons``,
    ``answer``, ``facts``, ``keys`` and ``images``. A function gets the columns that it has parameters for, or all of
    them with ``**columns``. ``images`` (a list of PIL images per completion) needs a parameter of that name, because
    images are opened only for a function that uses them.
    """

    def __init__(self, function: Callable[..., Sequence[float | None]], conversational: bool = False) -> None:
        """Wrap the function.

        Args:
            function: import path of the function. Where it returns None, it does not apply to that completion.
            conversational: pass prompts and completions as lists of messages with ``role`` and ``content``, as TRL
                does for chat data; False passes texts.
        """
        # Read once, here: which columns to build depends on the signature only.
        parameters = inspect.signature(function).parameters.values()
        self.function, self.conversational = function, conversational
        self.takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self.named = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
        self.required = {p.name for p in parameters if p.default is inspect.Parameter.empty} & self.named

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        """Return the function's scores.

        Raises:
            ConfigError: when the function needs a column that the data does not have.
        """
        columns = self._columns(prompts, completions)
        if missing := sorted(self.required - columns.keys()):
            raise ConfigError(
                f"the reward function {self.function.__name__} asks for {', '.join(missing)}, which the data does not "
                f"have; it can ask for: {', '.join(sorted(columns))}, images."
            )
        passed = columns if self.takes_all else {name: columns[name] for name in columns.keys() & self.named}
        return self.function(**passed)

    def _columns(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[Any]]:
        # Rows may differ in their columns; a dict keeps the names unique and in order.
        names = dict.fromkeys(name for prompt in prompts for name in prompt.columns)
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
            # By identity: the completions of one prompt repeat it, and its images are opened once.
            prompt_of = {id(prompt): prompt for prompt in prompts}
            images = {key: [image.load() for image in prompt.images] for key, prompt in prompt_of.items()}
            columns["images"] = [images[id(prompt)] for prompt in prompts]
        return columns

    def _message(self, role: str, text: str) -> Any:
        return [{"role": role, "content": text}] if self.conversational else text
