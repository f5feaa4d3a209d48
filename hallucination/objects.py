"""Which objects a text names: canonical names, their synonyms, and rules for misleading words.

    text -> words -> singular forms -> longest known phrase at each word -> canonical name

"A puppy and two hot dogs" names dog and hot dog, not hot dog and dog twice. Words of a phrase stand next to each other,
joined by blanks, hyphens or underscores; so "red-circle" of the shapes world is a phrase of two words.

Follows CHAIR (arXiv:1809.02156; the authors' script) in counting every mention and in not reading negation: "no dog"
names a dog. Differs from that script: a plural is recognised because its singular is in the lexicon, and not by a
language toolkit; phrases may have any number of words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from algorithms.errors import DataError

# A word, or a sign that separates two phrases; hyphens and apostrophes join the words of one.
_WORD_OR_SIGN = re.compile(r"[^\W_]+|[^\w\s'\u2019-]")
_IRREGULAR = {
    "people": "person", "children": "child", "mice": "mouse", "geese": "goose", "oxen": "ox", "feet": "foot",
    "teeth": "tooth",
}  # fmt: skip
_ENDINGS = (("men", "man"), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))

Words = tuple[str, ...]


class ObjectMention(NamedTuple):
    """One place where a text names an object."""

    name: str
    """Canonical name."""

    start: int
    """Position of its first character in the text."""

    end: int
    """Position after its last character."""


class ObjectLexicon:
    """Finds objects in texts by their names and synonyms, singular or plural, in any case."""

    def __init__(
        self,
        synonyms: Mapping[str, Sequence[str]],
        *,
        phrases: Mapping[str, str] | None = None,
        ignored_beside: Mapping[str, str] | None = None,
    ) -> None:
        """Index the names.

        Args:
            synonyms: canonical name -> further words for it. A name may have several words.
            phrases: phrase -> the known word that it stands for, such as ``"toilet seat": "toilet"``. With a word that
                is not in the lexicon, the phrase names no object: ``"home plate": ""``.
            ignored_beside: word -> canonical name; where a text names that object, the word names no object.

        Raises:
            DataError: A name without a word, or a synonym of two objects.
        """
        self.names: tuple[str, ...] = tuple(synonyms)
        self._name_of: dict[Words, str | None] = {}
        for name, others in synonyms.items():
            for phrase in (name, *others):
                self._add(phrase, name)
        # A copy: phrases may stand for names and synonyms, but not for other phrases.
        known = dict(self._name_of)
        for phrase, word in (phrases or {}).items():
            self._name_of.setdefault(_words(phrase), known.get(_words(word)))
        self._ignored_beside = {_words(word): name for word, name in (ignored_beside or {}).items()}
        self._vocabulary = {word for phrase in self._name_of for word in phrase}
        self._longest = max(map(len, self._name_of), default=0)

    def find(self, text: str) -> list[ObjectMention]:
        """Return every mention of an object in order, repeats included."""
        found = list(self._known_phrases(text))
        named = {mention.name for _, mention in found}
        return [mention for words, mention in found if self._ignored_beside.get(words) not in named]

    def names_in(self, text: str) -> frozenset[str]:
        """Return the objects that a text names."""
        return frozenset(mention.name for mention in self.find(text))

    def name_of(self, label: str) -> str | None:
        """Return the canonical name of an annotated label; None when the label is no object of this lexicon."""
        mentions = self.find(label)
        # "dog house" names a dog, but it is no label of a dog.
        is_whole = len(mentions) == 1 and label.strip() == label[mentions[0].start : mentions[0].end]
        return mentions[0].name if is_whole else None

    def _add(self, phrase: str, name: str) -> None:
        words = _words(phrase)
        if not words:
            raise DataError(f"the object {name!r} has the name {phrase!r}, which holds no letter or digit.")
        other = self._name_of.setdefault(words, name)
        if other != name:
            raise DataError(f"{phrase!r} stands for both {other!r} and {name!r}: a word can name one object only.")

    def _known_phrases(self, text: str) -> Iterator[tuple[Words, ObjectMention]]:
        tokens = list(_WORD_OR_SIGN.finditer(text))
        # For each token: its forms that occur in some phrase. A sign has no such form, so it ends every phrase.
        forms = [
            [form for form in _singular_forms(token.group().lower()) if form in self._vocabulary] for token in tokens
        ]
        first = 0
        while first < len(tokens):
            words = self._longest_phrase(forms, first)
            name = self._name_of[words] if words else None
            last = first + max(len(words), 1) - 1
            if name is not None:
                yield words, ObjectMention(name, tokens[first].start(), tokens[last].end())
            # The search goes on behind the whole phrase: the dog of a "hot dog" is no dog.
            first = last + 1

    def _longest_phrase(self, forms: Sequence[Sequence[str]], first: int) -> Words:
        """Return the longest known phrase that starts at a token; an empty phrase when no phrase starts there."""
        for length in range(min(self._longest, len(forms) - first), 0, -1):
            for words in product(*forms[first : first + length]):
                if words in self._name_of:
                    return words
        return ()


def _words(phrase: str) -> Words:
    return tuple(match.group().lower() for match in _WORD_OR_SIGN.finditer(phrase) if match.group().isalnum())


def _singular_forms(word: str) -> Iterator[str]:
    """Yield the word itself, then its possible singular forms, whether such words exist or not."""
    yield word
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    for plural, singular in _ENDINGS:
        # Words of two letters, such as "is", keep their s, and "glass" does not become "glas".
        if word.endswith(plural) and len(word) >= 3 and not (plural == "s" and word.endswith("ss")):
            yield word.removesuffix(plural) + singular


def parse_synonyms(lines: Iterable[str], *, source: str) -> dict[str, list[str]]:
    """Read one object per line: canonical name first, synonyms after commas; ``#`` starts a comment.

    Args:
        lines: the lines of a file.
        source: name of the file, for errors.

    Raises:
        DataError: No line holds an object, or two lines begin with the same name.
    """
    synonyms: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        names = [part.strip() for part in line.partition("#")[0].split(",") if part.strip()]
        if names and names[0] in synonyms:
            raise DataError(f"{source}, line {number}: {names[0]!r} has a line already; join the two lines.")
        if names:
            synonyms[names[0]] = names[1:]
    if not synonyms:
        raise DataError(f"{source} names no object: write one per line, with its synonyms after commas.")
    return synonyms
