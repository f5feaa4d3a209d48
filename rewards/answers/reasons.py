"""Why an answer counts as right, as wrong, or as unknown."""

import math
from enum import StrEnum


class Reason(StrEnum):
    """All reasons; every verdict has exactly one of them."""

    RIGHT_TEXT = "right_text"
    """The same text, up to styles, spaces and the case of words."""

    RIGHT_CHOICE = "right_choice"
    """The same options, by letter or by text; also yes or no."""

    RIGHT_NUMBER = "right_number"
    """The same number, compared exactly."""

    RIGHT_UNIT = "right_unit"
    """The same quantity: units were converted, or only one of the two names its unit."""

    RIGHT_TOLERANCE = "right_tolerance"
    """As near to the gold as the data set asks for."""

    RIGHT_PARTS = "right_parts"
    """The same list, set, tuple, interval, matrix, ratio or equation, part by part."""

    RIGHT_SYMBOLS = "right_symbols"
    """The same mathematics, by computer algebra."""

    WRONG = "wrong"
    """The answer was read, and differs from the gold."""

    SEVERAL_ANSWERS = "several_answers"
    """Several options or values in one box where the gold has one."""

    SEVERAL_BOXES = "several_boxes"
    """Boxes with different answers."""

    NO_BOX = "no_box"
    """No box after the reasoning, or an empty one."""

    BOX_NOT_CLOSED = "box_not_closed"
    """A box without its closing brace: the completion was cut."""

    REASONING_NOT_CLOSED = "reasoning_not_closed"
    """The reasoning never ends, so nothing is an answer."""

    UNIT_DIFFERS = "unit_differs"
    """A unit of another kind than the gold's, such as cm against cm^2."""

    UNIT_UNKNOWN = "unit_unknown"
    """A word stands where the gold has a unit, and this project does not know it as a unit."""

    UNREADABLE_ANSWER = "unreadable_answer"
    """The gold is mathematics, and the answer cannot be read as mathematics."""

    UNREADABLE_GOLD = "unreadable_gold"
    """Unknown: the gold itself cannot be read."""

    TIMED_OUT = "timed_out"
    """Unknown: the comparison hung, or the time of the rollout was used up."""

    COMPARISON_FAILED = "comparison_failed"
    """Unknown: the comparing process died, for example at its memory limit."""

    @property
    def is_right(self) -> bool:
        """Whether the answer is rewarded."""
        return self.startswith("right_")

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known about the answer, which is not the same as wrong."""
        return self in (Reason.UNREADABLE_GOLD, Reason.TIMED_OUT, Reason.COMPARISON_FAILED)

    @property
    def score(self) -> float:
        """1 for right, 0 for wrong, NaN for unknown."""
        return math.nan if self.is_unknown else float(self.is_right)


class Unknown(Exception):
    """Two answers cannot be compared; ``reason`` is one of ``Reason``."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """Keep the reason, and a detail for the log."""
        super().__init__(f"{reason}{detail and ': '}{detail}")
        self.reason = reason
