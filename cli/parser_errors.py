"""The parser's message about a wrong value, which lists every type that it tried, as one line."""

import re

_KEY = re.compile(r'Parser key "([^"]+)"')
# Lines that only lead to the cause.
_NOISE = re.compile(
    r"(- )?(Parser key |Problem with given class_path|Does not validate against|Subtypes: |Errors:|Given value type: "
    r"|Expected a <class 'NoneType'>)"
)
_MAX_VALUE = 160  # characters


def in_one_line(message: str) -> str:
    """Return the key as one would type it, what is wrong with it, and the value; other messages unchanged.

    >>> in_one_line('Parser key "model":\\n  Problem with given class_path \\'A\\':\\n    Parser key "x":\\n      Bad')
    'model.x: Bad'
    """
    lines = [line for line in message.splitlines() if line.strip()]
    keys = _KEY.findall(message)
    if len(lines) < 2 or not keys:
        return message
    values = [line for line in lines if line.strip().startswith("Given value: ")]
    reasons = [line.strip() for line in lines if line not in values and not _NOISE.match(line.strip())]
    # Several types may fail for one reason, which is enough to read once.
    distinct = dict.fromkeys(reason.removeprefix("- ").rstrip(".:") for reason in reasons)
    reason = "; ".join(distinct) or "is not allowed"
    if not values:
        return f"{'.'.join(keys)}: {reason}"
    innermost = max(values, key=lambda line: len(line) - len(line.lstrip()))
    value = innermost.strip().removeprefix("Given value: ")
    short = value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]} ..."
    return f"{'.'.join(keys)}: {reason}; got {short}"
