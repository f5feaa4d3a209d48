"""AMBER's words (arXiv:2311.07397): which words are known, and which object each of them covers.

AMBER has one table of associated words: "desk" covers a true "table", "window" covers a true "car". It also has a list
of safe words, which are never wrong.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from algorithms.errors import ConfigError, DataError
from hallucination.objects import ObjectLexicon


class AmberVocabulary:
    """The known words of a benchmark, and what each of them covers."""

    def __init__(
        self,
        associations: Mapping[str, Sequence[str]],
        safe_words: Collection[str] = (),
        is_similar: Callable[[str, str], bool] | None = None,
    ) -> None:
        """Keep the tables of a benchmark.

        Args:
            associations: word -> words that cover it (``relation.json``).
            safe_words: words that are never wrong and cover nothing (``safe_words.txt``).
            is_similar: function that returns whether two words are near-synonyms; None: only the table decides.
        """
        self.associations = associations
        self.safe_words = frozenset(safe_words)
        self.is_similar = is_similar

    @cached_property
    def lexicon(self) -> ObjectLexicon:
        """Finds the known words; each is its own canonical name, without synonyms."""
        # A dict as an ordered set: a word can be an entry of the table and an association of several others.
        words = dict.fromkeys([*self.associations, *(word for others in self.associations.values() for word in others)])
        return ObjectLexicon(dict.fromkeys(words, ()))

    def check(self, names: Sequence[str]) -> None:
        """Refuse annotated words that no text could ever name.

        Raises:
            DataError: a word without an entry in the table.
        """
        unknown = [name for name in names if name not in self.associations]
        if unknown:
            raise DataError(
                f"the table of associations has no entry for the annotated {unknown[0]!r}: add one, even if empty."
            )

    def covered_by(self, word: str, names: Sequence[str]) -> str | None:
        """Return the true name that a word covers by the table; None when it covers none."""
        # The name itself comes first, so that a word that names a true object covers this object.
        return word if word in names else self.named_by(word, names)

    def named_by(self, word: str, names: Sequence[str]) -> str | None:
        """Return the name that the table gives for a word; None when it gives none of these names."""
        return next((name for other, name in self._entries(names) if other == word), None)

    def similar_to(self, word: str, names: Sequence[str]) -> str | None:
        """Return the name that is a near-synonym of the word, or that a near-synonym covers; None when there is
        none."""
        is_similar = self.is_similar
        if is_similar is None:
            return None
        return next((name for other, name in self._entries(names) if is_similar(word, other)), None)

    def _entries(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield (word, the name it stands for) in the order in which the authors' script looks."""
        # All associated words come before the names themselves.
        yield from ((other, name) for name in names for other in self.associations[name])
        yield from ((name, name) for name in names)


def load_vocabulary(relation: str, safe_words: str | None) -> AmberVocabulary:
    """Return the vocabulary of AMBER's repository.

    Args:
        relation: ``relation.json``: an object of words, each with the list of words that cover it.
        safe_words: ``safe_words.txt``: one word per line; None: there are none.

    Raises:
        ConfigError: there is no such file.
        DataError: a file is not of this form.
    """
    table = _content(relation, "relation")
    try:
        associations = json.loads(table)
    except json.JSONDecodeError as error:
        raise DataError(f"{relation} is not JSON: {error}; it is the table relation.json of AMBER.") from None
    is_table = isinstance(associations, dict) and all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in associations.values()
    )
    if not is_table:
        raise DataError(f"{relation} must be an object of words, each with a list of words: AMBER's relation.json is.")
    lines = [] if safe_words is None else _content(safe_words, "safe_words").splitlines()
    return AmberVocabulary(associations, [line.strip() for line in lines if line.strip()])


def _content(path: str, key: str) -> str:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            f"{key} must be a file of AMBER's repository, got {path!r}: there is no file {file.absolute()}, and "
            "descriptions are judged by its words."
        )
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error}.") from None
