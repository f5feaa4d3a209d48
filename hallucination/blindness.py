"""Completions that say that their writer cannot see the image: a sign of hallucination that needs no judge.

The Skywork R1V3 report (arXiv:2507.06167) found such a statement in 47 of 900 completions on MMMU, with an accuracy of
51.1 % against 77.3 % without: the policy guesses what the image may show. The report found the habit first in R1V2.

Differs from the report, which does not describe how the statements were found. Here a regular expression finds four
kinds of statement, in English or Chinese: the image cannot be seen; it is not there; the writer has no access to it;
the writer reads text only. It misses a statement rather than report a wrong one. "I cannot see the bottom of the
figure" is about a part of the image, so it is not such a statement, and neither is a question that is quoted in other
words.
"""

import re

_IMAGE = r"(?:image|picture|figure|diagram|photo|photograph|graph|chart|drawing|illustration|screenshot|visual)s?\b"
# Words between the verb and the image that do not make it a part of the image, or another image.
_THE = (
    r"(?:(?:the|this|that|these|those|any|an?|your|actual|actually|attached|provided|given|original|uploaded|referenced|"
    r"mentioned|accompanying|corresponding|said|visual)\s+){0,4}"
)
# Not before "the image's left half" or "the picture on the wall": a part, or a thing in the image.
_WHOLE = r"(?!['\u2019]s|\s+(?:on|behind|under|inside)\b)"
_CANNOT = (
    r"(?:can\s?not|can['\u2019]?t|could\s?not|couldn['\u2019]?t|unable\s+to|not\s+(?:\w+\s+)?able\s+to|incapable\s+of|"
    r"without\s+(?:(?:actually|directly|really|being\s+able\s+to|having)\s+)*)"
)
_SEE = (
    r"(?:see|seeing|seen|view|viewing|access|accessing|look\s+at|looking\s+at|perceive|perceiving|display|open|load|"
    r"visuali[sz]e|visuali[sz]ing|observe|observing|examine|inspect|process)"
)
_ADVERB = r"\s*(?:(?:actually|directly|really|physically|even|currently|visually)\s+)?"
_PASSIVE = (
    r"(?:provided|attached|given|included|uploaded|supplied|available|visible|shown|displayed|accessible|present)"
)
_NOT = r"(?:\s+(?:actually|currently|directly|even|here))?"

BLINDNESS_PATTERN = "|".join(
    (
        # cannot see the image
        rf"\b{_CANNOT}{_ADVERB}{_SEE}\s+{_THE}{_IMAGE}{_WHOLE}",
        # no access to the image; don't have the image; without the image
        rf"\b(?:no|without|lack|haven['\u2019]?t|have\s+not|(?:do\s+not|don['\u2019]?t)\s+(?:\w+\s+)?have)(?:\s+\w+)?\s+access\s+to\s+"
        rf"{_THE}{_IMAGE}{_WHOLE}",
        rf"\b(?:do\s+not|don['\u2019]?t)\s+(?:actually\s+)?have\s+{_THE}{_IMAGE}{_WHOLE}",
        rf"\bwithout\s+(?:the|this|that|any|an)\s+(?:(?:actual|attached|provided|original|accompanying)\s+)?{_IMAGE}{_WHOLE}",
        # no image was provided; the image is not visible
        rf"\bno\s+(?:actual\s+)?{_IMAGE}\s+(?:(?:is|was|were|are|has\s+been|have\s+been)\s+)?{_PASSIVE}\b",
        rf"\b{_IMAGE}(?:\s+itself)?\s+(?:(?:is|was|has|have|are|were)\s+not|(?:is|was|has|have|are|were)n['\u2019]?t){_NOT}"
        rf"(?:\s+been)?\s+{_PASSIVE}\b",
        # a reader of text only; and, in Chinese, cannot see, no image was provided
        r"\bas\s+an?\s+(?:purely\s+)?text[\s-](?:based|only)\b",
        r"(?:无法|不能|没法|没有办法)(?:直接|实际)?(?:看到|看见|查看|访问|观察到?)(?:这张|该|此|所给的?|题目中的?|具体的?)?(?:图|照片)",
        r"看不到(?:这张|该|此|具体的?)?(?:图|照片)",
        r"没有(?:提供|给出|附上)(?:图|照片)",
    )
)
_BLINDNESS = re.compile(BLINDNESS_PATTERN, re.IGNORECASE)


def claims_blindness(text: str) -> bool:
    """Return whether a text says that its writer cannot see the image."""
    return _BLINDNESS.search(text) is not None
