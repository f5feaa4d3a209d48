"""AMBER's words (arXiv:2311.07397): which words are known, and which object each of them covers.

A benchmark has one table of associated words: "desk" covers a true "table", "window" covers a true "car". And it has a
list of safe words, which are never wrong.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property

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
            is_similar: returns whether two words are near-synonyms; None: only the table decides.
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

    def covered_by(self, word: str, names: Sequence[str]) -> str | None:
        """Return which of the true names a word covers by the table; None when none."""
        # The name itself first, so that a word that is true covers its own object.
        return word if word in names else self.named_by(word, names)

    def named_by(self, word: str, names: Sequence[str]) -> str | None:
        """Return which of the names the table gives for a word; None when none."""
        return next((name for other, name in self._entries(names) if other == word), None)

    def similar_to(self, word: str, names: Sequence[str]) -> str | None:
        """Return which of the names is a near-synonym of the word, or is covered by one; None when none."""
        is_similar = self.is_similar
        if is_similar is None:
            return None
        return next((name for other, name in self._entries(names) if is_similar(word, other)), None)

    def _entries(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield (word, the name it stands for) in the order in which the authors' script looks."""
        # What is associated with any name comes before every name itself.
        yield from ((other, name) for name in names for other in self.associations[name])
        yield from ((name, name) for name in names)
