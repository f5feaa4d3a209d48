"""The column map of a config: names the columns of a file with the question, the images, the answer and so on.

    columns:
      question: problem
      images: images
      answer: reward_model.ground_truth      # a dotted name leads into nested cells, also into JSON inside of a text
      choices: options

Every key has a default, so a file with the columns ``question``, ``image`` and ``answer`` needs no map. Columns that no
key names stay available as ``Prompt.columns``.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from algorithms.errors import ConfigError

AnswerForm = Literal["auto", "letter", "text", "index_0", "index_1"]
# Default names of columns with images; an image may be in either.
DEFAULT_IMAGES = ("image", "images")
DEFAULT_COLUMNS = ("question", "answer", "facts", "id", *DEFAULT_IMAGES)
_PLACEHOLDER = re.compile(r"\{([^{}\s]+)\}")


@dataclass(frozen=True, kw_only=True)
class JoinedTable:
    """A second list of rows, whose cells are added to the rows of the first where two columns agree."""

    column: str
    """Column of the rows, such as ``image_id``."""

    key: str
    """Column of the second list that must equal it, such as ``id``."""

    file: str | None = None
    """File of the second list, relative to the first; null: the same file."""

    records: str | None = None
    """Key of the list in that file, such as ``images``; null: the file is the list."""


@dataclass(frozen=True, kw_only=True)
class ColumnMap:
    """Columns by their meaning, with the names in the file; ``*`` in a name of images or choices matches any text."""

    question: str | None = "question"
    """Text or conversation. With braces it joins columns: ``"{context}\\n{question}"``. Null: ``fixed_question``."""

    fixed_question: str = ""
    """The question of every row, for files without questions."""

    images: str | list[str] | None = None
    """One column or several: an image, a list of images, a path, ``image_*``. Null: ``image`` or ``images``."""

    image_folder: str | None = None
    """Folder in which image paths begin, absolute or relative to the data folder; null: the data folder."""

    image_prefix: str = ""
    """Beginning of the paths in the file that is replaced by ``image_folder``, such as ``file:///data/images/``."""

    answer: str | None = "answer"
    """Text, number or a list of these."""

    answer_values: dict[str, str] = field(default_factory=dict[str, str])
    """Other spellings of answers: ``{"0": "no", "1": "yes"}``."""

    answer_form: AnswerForm = "auto"
    """How an answer names a choice: by its letter, its text, or its index; auto: the letter or the text."""

    several_answers: Literal["all", "any", "first"] = "all"
    """Meaning of a list of answers: all of them, joined by commas; or spellings, of which any or only the first is
    right."""

    choices: str | list[str] | None = None
    """One column with a list, or with a list written as text; or one column for each choice."""

    unit: str | None = None
    """Column of the unit, which is appended to an answer that is a number."""

    tolerance: str | None = None
    """Column of the largest absolute difference between a right number and the answer."""

    decimals: str | None = None
    """Column of the number of decimals; the tolerance is then half of the last one."""

    system: str | None = None
    """Column of the system prompt; a conversation has its own."""

    facts: str | None = "facts"
    """Column of what the images show, as a list of texts."""

    completion: str | None = None
    """Column of a completion to imitate; goes to ``Prompt.columns['completion']``."""

    id: str | None = "id"
    """Column of the row's name. The uid of a prompt is its position."""

    records: str | None = None
    """Key of the list of rows in a JSON file, such as ``annotations``; null: the file is the list."""

    join: JoinedTable | None = None
    """A second list, whose cells are added to the rows."""

    unused: list[str] = field(default_factory=list[str])
    """Columns that look like images or choices but are left out on purpose."""

    def __post_init__(self) -> None:
        if self.question is None and not self.fixed_question.strip():
            raise ConfigError(
                "columns.question is null, so columns.fixed_question must hold the question of every row, got "
                f"{self.fixed_question!r}."
            )
        # The parser checks a Literal, but a call from Python does not.
        if self.answer_form not in get_args(AnswerForm):
            raise ConfigError(
                f"columns.answer_form must be one of {', '.join(get_args(AnswerForm))}, got {self.answer_form!r}."
            )
        if self.tolerance is not None and self.decimals is not None:
            raise ConfigError(
                f"columns.tolerance={self.tolerance!r} and columns.decimals={self.decimals!r} both say how far a "
                "number may be off: give one of them."
            )

    @property
    def image_names(self) -> tuple[str, ...]:
        """Names of the image columns, possibly with ``*``."""
        return DEFAULT_IMAGES if self.images is None else as_names(self.images)

    @property
    def choice_names(self) -> tuple[str, ...]:
        """Names of the columns of choices, possibly with ``*``."""
        return () if self.choices is None else as_names(self.choices)

    def named_columns(self) -> list[tuple[str, str]]:
        """Return the keys that were set, each with a column that it names, without those that every row must have."""
        named = [("question", name) for name in self.joined_columns]
        named += [("images", name) for name in self.image_names if self.images is not None]
        named += [("choices", name) for name in self.choice_names]
        for key in ("unit", "tolerance", "decimals", "system", "completion"):
            named += [(key, name)] if (name := getattr(self, key)) is not None else []
        # The defaults need not be there.
        return named + [(key, name) for key in ("facts", "id") if (name := getattr(self, key)) not in (None, key)]

    @property
    def joined_columns(self) -> tuple[str, ...]:
        """The columns that a question with braces joins; empty when the question is one column."""
        return tuple(_PLACEHOLDER.findall(self.question or ""))

    @property
    def top_names(self) -> frozenset[str]:
        """The single columns that a key names, without those that lead into nested cells."""
        keys = (self.question, self.answer, self.facts, self.id, self.system, self.completion)
        return frozenset(name for name in keys if name is not None)


def as_names(names: str | list[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (names,) if isinstance(names, str) else tuple(names)


def joined_text(template: str, value_of: dict[str, str]) -> str:
    """Return a text with every ``{name}`` replaced; other braces, as in LaTeX, stay as they are."""
    # In one pass, so that braces in a value are not replaced again.
    return _PLACEHOLDER.sub(lambda match: value_of.get(match[1], match[0]), template)
