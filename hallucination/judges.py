"""Which statements of a completion its image supports: one judge for each way in which facts are known.

GrammarJudge   things named by a regular expression, against facts with multiplicity    (the shapes world)
ObjectJudge    objects and their synonyms, against the set of objects in the image       (CHAIR, arXiv:1809.02156)
YesNoJudge     "yes, it is there", against the answer of the row                         (POPE, arXiv:2305.10355)
"""

from collections.abc import Sequence
from pathlib import Path

from algorithms.errors import ConfigError, DataError
from algorithms.records import Claim, Completion, Prompt
from hallucination.chair import find_object_claims
from hallucination.claims import ClaimGrammar, find_claims
from hallucination.coco_objects import chair_lexicon, coco_lexicon
from hallucination.objects import ObjectLexicon, parse_synonyms
from hallucination.yes_no import poll_answer


class ClaimJudge:
    """Finds and judges the claims of a completion."""

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the claims in order of their place; None when nothing is known about the prompt's image."""
        raise TypeError(f"{type(self).__name__} must define claims()")


class GrammarJudge(ClaimJudge):
    """Claims that a regular expression finds, against the column ``facts``, repeats counted."""

    def __init__(self, mention: str, clause_end: str = r"[=.;\n]") -> None:
        """Set the grammar.

        Args:
            mention: regular expression of one mention; its whole match is compared with the facts.
            clause_end: regular expression of the end of a clause. Within a clause, the k-th mention of a thing needs
                k of that thing in the image.
        """
        self.grammar = ClaimGrammar(mention=mention, clause_end=clause_end)

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the mentions."""
        return None if prompt.facts is None else find_claims(text, prompt.facts, self.grammar)


class ObjectJudge(ClaimJudge):
    """Mentions of objects in captions, against the objects in the column ``facts``."""

    def __init__(self, synonyms: str = "coco") -> None:
        """Set the vocabulary.

        Args:
            synonyms: text file with one object a line, its name first, synonyms after commas, such as that of CHAIR's
                authors; ``coco`` is a list of our own for the 80 classes of COCO.
        """
        self.lexicon = load_lexicon(synonyms)

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the mentions, each judged against the set of objects."""
        if prompt.facts is None:
            return None
        known = {self.lexicon.name_of(fact) or fact for fact in prompt.facts}
        return find_object_claims(text, known, self.lexicon)


class YesNoJudge(ClaimJudge):
    """The answer yes to the question whether something is there, against ``answer``: one claim, or none for no."""

    def claims(self, prompt: Prompt, text: str) -> list[Claim] | None:
        """Return the claim of a yes; its unsupported share is 1 - precision of POPE."""
        if prompt.answer is None:
            return None
        if not poll_answer(text).is_yes:
            return []
        return [Claim(str(prompt.columns.get("object", "yes")), 0, len(text), prompt.answer.strip().lower() == "yes")]


def judge_groups(
    judge: ClaimJudge, prompts: Sequence[Prompt], groups: Sequence[Sequence[Completion]]
) -> list[list[list[Claim] | None]]:
    """Return the claims of G completions for each of P prompts; None where the judge does not know the image."""
    return [
        [judge.claims(prompt, completion.text) for completion in group]
        for prompt, group in zip(prompts, groups, strict=True)
    ]


def load_lexicon(path: str) -> ObjectLexicon:
    """Return a lexicon from a file with one object per line and its synonyms after commas, with CHAIR's rules.

    Args:
        path: the file, such as the ``synonyms.txt`` of CHAIR's authors; ``"coco"`` is the built-in lexicon.

    Raises:
        ConfigError: There is no such file.
        DataError: The file is no list of objects.
    """
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
