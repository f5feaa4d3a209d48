"""Judges find the claims of a completion about its image, and decide which of them the facts support.

GrammarJudge   things that a regular expression finds, against facts with repeats        (the shapes world)
ObjectJudge    objects and their synonyms, against the set of objects in the image       (CHAIR, arXiv:1809.02156)
AmberJudge     words of AMBER's vocabulary, against what covers the objects of the image   (AMBER, arXiv:2311.07397)
YesNoJudge     the claim that an object is there, against the answer of the row          (POPE, arXiv:2305.10355)

Shapes: P prompts, G completions per prompt.
"""

from collections.abc import Sequence
from pathlib import Path

from algorithms.errors import ConfigError, DataError
from algorithms.records import Claim, Completion, Prompt
from hallucination.amber_vocabulary import load_vocabulary
from hallucination.chair import find_object_claims
from hallucination.claims import ClaimGrammar, find_claims
from hallucination.coco_objects import chair_lexicon, coco_lexicon
from hallucination.objects import ObjectLexicon, parse_synonyms
from hallucination.yes_no import poll_answer


class ClaimJudge:
    """Finds and judges the claims of a completion."""

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the claims in the order of the text; None where the prompt has no facts to judge them by."""
        raise TypeError(f"{type(self).__name__} must define claims()")


class GrammarJudge(ClaimJudge):
    """Finds claims with a regular expression and compares them with the column ``facts``, repeats counted."""

    def __init__(self, mention: str, clause_end: str = r"[=.;\n]", facts_column: str | None = None) -> None:
        """Set the grammar.

        Args:
            mention: regular expression of one mention; its whole match is compared with the facts.
            clause_end: regular expression of the end of a clause. Within a clause, the k-th mention of a thing is
                supported when the image has at least k of it.
            facts_column: another column with the true things, spelled as ``mention`` finds them, such as things with
                their places; null: ``facts``.
        """
        self.grammar = ClaimGrammar(mention=mention, clause_end=clause_end)
        self.facts_column = facts_column

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the mentions; each is judged by how many of the thing the image has."""
        # No facts (None) differ from an image that is known to show nothing (an empty tuple).
        facts = prompt.facts if self.facts_column is None else prompt.columns.get(self.facts_column)
        return None if facts is None else find_claims(text, facts, self.grammar)


class ObjectJudge(ClaimJudge):
    """Finds mentions of objects in captions and compares them with the objects in the column ``facts``."""

    def __init__(self, synonyms: str = "coco") -> None:
        """Set the vocabulary.

        Args:
            synonyms: text file with one object per line, its name first, synonyms after commas, such as the file of
                CHAIR's authors; ``coco`` is this project's list for the 80 classes of COCO.
        """
        # The file is read here and not at the first completion, so that a missing file stops the run before it starts.
        self.lexicon = load_lexicon(synonyms)

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the mentions; each is judged by whether the image shows the object at least once."""
        if prompt.facts is None:
            return None
        # Facts may use synonyms too; a fact that the vocabulary lacks can never be mentioned.
        known = {self.lexicon.name_of(fact) or fact for fact in prompt.facts}
        return find_object_claims(text, known, self.lexicon)


class AmberJudge(ClaimJudge):
    """Finds AMBER's words in descriptions; a word is supported when it covers an object of the image, or is safe."""

    def __init__(self, relation: str, safe_words: str | None = None) -> None:
        """Name the benchmark's tables of words.

        Args:
            relation: ``data/relation.json`` of its repository.
            safe_words: ``data/safe_words.txt``, words that are never wrong; null: there are none.
        """
        self.vocabulary = load_vocabulary(relation, safe_words)

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the mentions of known words; their unsupported share is AMBER's CHAIR."""
        if prompt.facts is None:
            return None
        known = self.vocabulary
        known.check(prompt.facts)
        return [
            Claim(name, start, end, name in known.safe_words or known.covered_by(name, prompt.facts) is not None)
            for name, start, end in known.lexicon.find(text)
        ]


class YesNoJudge(ClaimJudge):
    """Takes "yes" as the claim that the object of the question is there; "no" makes no claim. For POPE."""

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return one claim for a yes; the unsupported share of these claims is 1 - precision of POPE."""
        if prompt.answer is None:
            return None
        if not poll_answer(text).is_yes:
            return []
        # The claim is the whole answer, so its place is the whole text. Only rows of POPE name the object.
        return [Claim(str(prompt.columns.get("object", "yes")), 0, len(text), prompt.answer.strip().lower() == "yes")]


def judge_groups(
    judge: ClaimJudge, prompts: Sequence[Prompt], groups: Sequence[Sequence[Completion]]
) -> list[list[list[Claim] | None]]:
    """Return the claims of each completion (P, G); None where the prompt has no facts."""
    return [
        [judge.claims(prompt, completion.text) for completion in group]
        for prompt, group in zip(prompts, groups, strict=True)
    ]


def load_lexicon(path: str) -> ObjectLexicon:
    """Return a lexicon from a file with one object per line and its synonyms after commas, with CHAIR's rules.

    Args:
        path: the file, such as the ``synonyms.txt`` of CHAIR's authors; ``"coco"`` is the built-in lexicon.

    Raises:
        ConfigError: when there is no such file.
        DataError: when the file is no list of objects.
    """
    # A file that is called coco can still be read, as ./coco.
    if path == "coco":
        return coco_lexicon()
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            f"an object lexicon must be 'coco' or a text file, got {path!r}: there is no file {file.absolute()}, and "
            "objects can only be found by their names."
        )
    try:
        return chair_lexicon(parse_synonyms(file.read_text(encoding="utf-8").splitlines(), source=path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error}; save it as text, one object per line.") from None
