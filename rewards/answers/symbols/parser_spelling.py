"""Rewrites expressions so that latex2sympy reads them with their intended meaning."""

import re

_DECIMAL = re.compile(r"(?<![\w.])([0-9]+(?:,[0-9]{3})*)?\.([0-9]+)(?![0-9.])")
_DEGREES = re.compile(r"(?P<angle>[0-9.]+|\\[a-z]+|[A-Za-z])? ?°")
_OVER = re.compile(r"\{((?:[^{}]|\{[^{}]*\})*)\\over(?![A-Za-z])((?:[^{}]|\{[^{}]*\})*)\}")
# Numbers of combinations (C) and arrangements (A, P); beside other letters C_2 may be a constant.
_THOUSANDS = re.compile(r"(?<![0-9.] )(?<![0-9.])[0-9]{1,3}(?: [0-9]{3})+(?![0-9]| [0-9])")
_SELECTION = re.compile(
    r"(?P<letter>[CAP]) ?(?P<sign>[_^]) ?\{? ?(?P<first>[0-9]{1,3}) ?\}? ?(?!(?P=sign))[_^] ?"
    r"\{? ?(?P<second>[0-9]{1,3}) ?\}?"
)


def spelled_for_parser(text: str) -> str:
    r"""Return an expression as latex2sympy wants it: \lg is \log_{10}, decimals are fractions, degrees numbers."""
    text = re.sub(r"\\lg(?![A-Za-z])", r"\\log_{10}", text)
    # The parser would multiply: 1 024 is no product.
    text = _THOUSANDS.sub(lambda found: found[0].replace(" ", ""), text)
    text = _OVER.sub(r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\(max|min|gcd|lcm) ?\\\{([^{}\\]*)\\\}", r"\\\1(\2)", text)
    if not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", _SELECTION.sub("", text))):
        text = _SELECTION.sub(_as_selection, text)
    text = re.sub(r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln|exp)(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"\\log ?_ ?([0-9A-Za-z]) ?(?=\S)", r"\\log_{\1} ", text)
    text = re.sub(r"\\sqrt ?\(([^()]*)\)", r"\\sqrt{\1}", text)
    # LaTeX draws the root over the first digit only, but the writer means all digits.
    text = re.sub(r"\\sqrt ?([0-9]+|[A-Za-z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\^ ?\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\\frac ?([0-9A-Za-z]) ?([0-9A-Za-z])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac ?\{([^{}]*)\} ?([0-9A-Za-z])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac ?([0-9A-Za-z]) ?\{", r"\\frac{\1}{", text)
    # x' is another symbol than x; the parser would drop the sign.
    text = re.sub(r"([A-Za-z])('{1,3})", lambda found: rf"{found[1]}_{{prime{len(found[2])}}}", _with_degrees(text))
    return _DECIMAL.sub(_as_fraction, text)


def _as_selection(found: re.Match[str]) -> str:
    first, second = (int(found[name]) for name in ("first", "second"))
    total, chosen = (first, second) if found["sign"] == "_" else (second, first)
    if chosen > total:
        return found[0]
    if found["letter"] == "C":
        return rf"\binom{{{total}}}{{{chosen}}}"
    return rf"\frac{{{total}!}}{{{total - chosen}!}}"


def _with_degrees(text: str) -> str:
    if not re.search(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])", text):
        return text.replace("°", "")
    return _DEGREES.sub(lambda found: rf"({found['angle'] or 1} \cdot \frac{{\pi}}{{180}})", text)


def _as_fraction(found: re.Match[str]) -> str:
    whole, digits = (found[1] or "0").replace(",", ""), found[2]
    fraction = rf"\frac{{{int(whole + digits)}}}{{{10 ** len(digits)}}}"
    return f"{{{fraction}}}" if found.string[: found.start()].endswith(("^", "_")) else f"({fraction})"
