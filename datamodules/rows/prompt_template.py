"""The template of prompts: a system turn, the question of a row, its choices, and a hint how to answer.

    template:
      system: You first think, then answer.
      question: |-
        {question}
        {hint}
      hint: Put the answer in \\boxed{}.

The default template does not change a row without choices.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from algorithms.errors import ConfigError
from algorithms.records import Prompt
from datamodules.rows.cells import IMAGE_MARK
from datamodules.rows.columns.choices import LETTERS

_NAMES = ("question", "choices", "hint")
_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """Texts around the question. ``{question}``, ``{choices}`` and ``{hint}`` are replaced; other braces stay."""

    system: str = ""
    """System turn of rows without one; empty: none, or the system turn of the chat template."""

    question: str = "{question}"
    """The user turn."""

    choice: str = "{letter}. {text}"
    """One line for each choice, in ``{choices}``."""

    hint: str = ""
    """How to answer; put at the end when ``question`` has no ``{hint}``."""

    choice_hint: str | None = None
    """How to answer a question with choices; null: ``hint``."""

    def __post_init__(self) -> None:
        key = "data.reading.template.question"
        names = _PLACE.findall(self.question)
        unknown = [name for name in names if name not in _NAMES]
        if unknown:
            raise ConfigError(
                f"{key} may hold {', '.join(f'{{{name}}}' for name in _NAMES)}, got {{{unknown[0]}}}: other columns "
                "are joined by the source's columns.question."
            )
        if names.count("question") != 1 or any(names.count(name) > 1 for name in names):
            raise ConfigError(
                f"{key} must hold {{question}} once, and the others at most once, got {self.question!r}: each image "
                "has one place."
            )
        # Images of choices come after those of the question.
        if "choices" in names and names.index("choices") < names.index("question"):
            raise ConfigError(f"{key} must hold {{choices}} behind {{question}}, got {self.question!r}.")
        shown = self.question + self.choice + self.hint + (self.choice_hint or "")
        if IMAGE_MARK in shown:
            raise ConfigError(f"data.reading.template must not hold {IMAGE_MARK}: each mark needs an image of its row.")
        if "{text}" not in self.choice:
            raise ConfigError(f"data.reading.template.choice must hold {{text}}, got {self.choice!r}.")

    def applied(self, prompt: Prompt) -> Prompt:
        """Return the prompt in the template; the same object when the template changes nothing."""
        hint = self.hint if prompt.choices is None or self.choice_hint is None else self.choice_hint
        parts = {"question": prompt.question, "choices": self._choices(prompt.choices), "hint": hint}
        text = self.question
        # Choices and hint without a place of their own are appended: choices after the question, the hint at the end.
        if parts["choices"] and "{choices}" not in text:
            text = text.replace("{question}", "{question}\n{choices}")
        if hint and "{hint}" not in text:
            text += "\n{hint}"
        asked = _PLACE.sub(lambda place: parts.get(place[1], place[0]), text)
        if asked != prompt.question:
            asked = asked.strip()
        system = prompt.system or self.system
        if (asked, system) == (prompt.question, prompt.system):
            return prompt
        return replace(prompt, question=asked, system=system)

    def _choices(self, choices: Sequence[str] | None) -> str:
        return "\n".join(self._choice(LETTERS[i], text) for i, text in enumerate(choices or ()))

    def _choice(self, letter: str, text: str) -> str:
        # When the picture shows the choices, a file often has the letters as texts of the choices.
        if text.strip() == letter:
            return letter
        return self.choice.replace("{letter}", letter).replace("{text}", text)
