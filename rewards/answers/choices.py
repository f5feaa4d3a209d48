"""Answers to multiple-choice questions: letters of options, their texts, and yes or no."""

import re
from collections.abc import Sequence

# A letter without "(" must end the text, or have ")", "." or ":" behind it: else it may begin a word.
_CHOICE = re.compile(
    r"(?:(?i:option|choice|answer) ?:? ?|选项? ?)?"
    r"(?:[(\[](?P<inside>[A-Za-z])[)\]]|(?P<bare>[A-Za-z])(?:(?P<mark>\)|[.:,](?=[ 0-9\\-]|$)|,(?=[^A-Za-z ]))|$)) ?"
    r"(?P<option>.*)"
)
_SECOND_CHOICE = re.compile(
    r"(?:or|and)\b|[,/&或和]|.*(?<![^ ,/])\(?[A-J](?:\)|[.:](?: |$))|\(?[A-J]\)?$"
    r"|(?:.* )?(?i:maybe|perhaps|possibly|alternatively|if not|else|not sure|unsure|could be)(?![a-z])"
)
_LETTER_LAST = re.compile(r"(?:.*[ ,(])?[A-J]\)?")
_BET = re.compile(r"(?<![A-Za-z])or(?![A-Za-z])|[/|?]|或")
_SEPARATORS = re.compile(r"(?<![A-Za-z])and(?![A-Za-z])|[,;&+和与及 ]|(?:(?i:options?|choices?)|选项?)(?![A-Za-z])")
_RUN = re.compile(r"[A-J]{1,10}")
_NUM_LETTERS = 10  # A to J
_LENIENT = "abcde"

_SAID = {
    "yes": "yes", "no": "no", "true": "yes", "false": "no", "是": "yes", "是的": "yes", "否": "no", "不是": "no",
    "对": "yes", "错": "no", "正确": "yes", "错误": "no", "不对": "no", "不正确": "no",
}  # fmt: skip
_SAYING = re.compile(
    rf"(?P<head>(?i:{'|'.join(sorted(_SAID, key=len, reverse=True))}))(?P<rest>|(?:[,;:!-]|\.(?! ?[0-9])| -).*)"
)
_AGAIN = re.compile(
    r"(?<![A-Za-z])(?:yes|no|true|false|or|but|maybe|perhaps|however|wait|unless|unsure|depends|not sure)(?![A-Za-z])"
    r"|是|否|对|错",
    re.IGNORECASE,
)


def split_choice(text: str, *, num_options: int | None = None) -> tuple[str, str] | None:
    """Return the letter and the option text of "B", "(B)", "B." or "B. 12 cm"; None for anything else.

    Args:
        text: a cleaned answer.
        num_options: how many options there are, if that is known.
    """
    found = _CHOICE.fullmatch(text)
    # "A or B" and "A, B" name two options, so they are no choice.
    if not found or _SECOND_CHOICE.match(found["option"]):
        return None
    letter = found["inside"] or found["bare"]
    if found["mark"] == "," and (not found["option"] or _LETTER_LAST.fullmatch(found["option"])):
        return None
    # A small letter without any mark may be a variable; the first five letters are mostly options.
    is_marked = num_options is not None or found["inside"] or found["mark"] in (")", ".") or letter in _LENIENT
    if letter.islower() and not is_marked:
        return None
    position = ord(letter.upper()) - ord("A")
    return (letter.upper(), found["option"]) if position < (num_options or _NUM_LETTERS) else None


def is_bet(text: str) -> bool:
    """Return whether a text names several options without choosing: "A or B", "A/B"."""
    return len(letters_in(_BET.sub(",", text)) or ()) > 1 and _BET.search(text) is not None


def letters_in(text: str) -> frozenset[str] | None:
    """Return the letters that a text consists of, such as "AC", "A, C", "(A)(C)", "A and C"; None for other texts."""
    pieces = _SEPARATORS.sub(" ", re.sub(r"[()\[\]{}.]|\\[{}]", " ", text)).split()
    if not pieces or not all(_RUN.fullmatch(piece) for piece in pieces):
        return None
    letters = "".join(pieces)
    return frozenset(letters) if len(set(letters)) == len(letters) else None


def circled_in(text: str) -> frozenset[str] | None:
    """Return the numbers of statements that a text consists of, such as "①②④" or "①, ②"; None for other texts."""
    signs = _SEPARATORS.sub("", text).replace(" ", "")
    return frozenset(signs) if signs and all("①" <= sign <= "⑳" for sign in signs) else None


def is_run(text: str) -> bool:
    """Return whether letters stand together without separators, as in "AC", which may also be a segment."""
    return _RUN.fullmatch(text) is not None


def said(text: str) -> tuple[str, str] | None:
    """Return which of yes, no, true or false a text says, and its rest; None for none or several of them."""
    found = _SAYING.fullmatch(text)
    if not found or _AGAIN.search(found["rest"]):
        return None
    return _SAID[found["head"].lower()], found["rest"].strip(" ,.;:!-")


def options_by_letter(choices: Sequence[str]) -> dict[str, str]:
    """Return the texts of the options by letter; a letter that the data put in front of a text is removed."""
    letters = [chr(ord("A") + index) for index in range(min(len(choices), 26))]
    options: dict[str, str] = {}
    for letter, option in zip(letters, choices, strict=False):
        labelled = re.fullmatch(rf"\(?{letter}[).:,、．] ?(?P<text>.+)", option.strip(), re.DOTALL)
        options[letter] = labelled["text"] if labelled else option
    return options
