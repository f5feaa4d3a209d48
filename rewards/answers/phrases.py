"""Ways to say that there is no value, or not one."""

import re

_SAME = (
    r"\\emptyset|(?:there (?:is|are) )?no (?:real )?(?:solutions?|roots?)|(?:the )?empty set|无(?:实数)?解|空集",
    r"dne|(?:the limit )?(?:does not|doesn't|do not) exist|不存在",
    r"\+? ?(?:\\infty|∞|infinity)|(?:positive|plus) infinity|正?无穷大?",
    r"- ?(?:\\infty|∞|infinity)|(?:negative|minus) infinity|负无穷大?",
    r"undefined|not defined|is undefined|无意义|没有意义",
    r"infinitely many(?: solutions)?|infinite(?: number of)? solutions|an infinite number(?: of solutions)?"
    r"|无(?:数|穷多)(?:个|组)?解?",
    r"(?:it )?(?:cannot|can not|can't) be determined|(?:there is )?not enough information"
    r"|insufficient information|无法确定|不能确定",
)
_PATTERNS = [re.compile(phrase, re.IGNORECASE) for phrase in _SAME]


def is_same_phrase(one: str, other: str) -> bool:
    """Return whether two texts say the same of these: no solution, no limit, infinity, undefined, infinitely
    many, unknown."""
    return any(phrase.fullmatch(one) and phrase.fullmatch(other) for phrase in _PATTERNS)
