"""Pictures for TensorBoard: a prompt with its images, and completions below it with their claims in colour.

    completion_card    a rollout group: every completion, below a mark for right or wrong and its scores
    probe_card         a probe: its completion, below a line with the number of unsupported claims

A picture is an array (height, width, 3) of 8-bit colours. Every card has a legend.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from algorithms import Claim, Prompt, RolloutGroup
from callbacks.canvas import BLACK, GRAY, GREEN, LINE, MARGIN, RED, WIDTH, Canvas, Color, wrapped
from hallucination import JudgedCompletion

IMAGE_SIDE, MAX_IMAGES, MAX_QUESTION_LINES = 128, 2, 12
# Numbers of first and last lines that are shown of a long completion: the last lines hold the answer.
FIRST_LINES, LAST_LINES = 9, 6

Mark = Literal["right", "wrong", "unknown"]


class _Entry(NamedTuple):
    """One completion of a card."""

    mark: Mark | None
    """None: no score shows whether the completion is right."""

    headings: Sequence[str]
    text: str
    claims: Sequence[Claim]


def completion_card(group: RolloutGroup) -> np.ndarray:
    """Return the picture of a rollout group."""
    # A completion without claims is drawn in black, also one that was not judged.
    claims = group.claims or [None] * len(group.completions)
    entries = [
        _Entry(_mark(group, index), score_lines(group, index), completion.text, claims[index] or [])
        for index, completion in enumerate(group.completions)
    ]
    return _draw(group.prompt, entries)


def probe_card(judged: JudgedCompletion) -> np.ndarray:
    """Return the picture of a probe."""
    prompt, completion, claims = judged
    truth = str(prompt.answer) if prompt.facts is None else ", ".join(prompt.facts)
    headings = [f"{judged.num_unsupported} of {len(claims)} claims unsupported", f"the image shows: {truth}"]
    return _draw(prompt, [_Entry(None, headings, completion.text, claims)])


def score_lines(group: RolloutGroup, index: int) -> list[str]:
    """Return the scores of one completion of a group: total reward, advantage if it has one, then the parts."""
    scores = {name: group.score(name, index) for name in group.parts}
    reasons = {name: f" ({reason.replace('_', ' ')})" for name, reason in group.reasons_of(index).items()}
    parts = ", ".join(
        f"{name} {'unknown' if score is None else f'{score:g}'}{reasons.get(name, '')}"
        for name, score in scores.items()
    )
    # Held-out completions have no advantages, and in a group with equal rewards all of them are 0.
    advantage = f"   advantage {group.advantages[index]:+.2f}" if group.advantages.any() else ""
    return [f"reward {group.rewards[index]:.2f}{advantage}", parts]


def _mark(group: RolloutGroup, index: int) -> Mark | None:
    """Return the mark for a completion's score in the part ``accuracy``."""
    if "accuracy" not in group.parts:
        return None
    score = group.score("accuracy", index)
    return "unknown" if score is None else "right" if score >= 1.0 else "wrong"


def _draw(prompt: Prompt, entries: Sequence[_Entry]) -> np.ndarray:
    """Draw the prompt, the legend and the entries, with a rule above each."""
    question = _question_lines(prompt)
    legend = _legend(entries)
    texts = [_shown(entry) for entry in entries]
    headings = [
        [line for heading in entry.headings for _, line in wrapped(heading, _HEADING_WIDTH)] for entry in entries
    ]
    head = max(IMAGE_SIDE if prompt.images else 0, LINE * len(question)) + MARGIN
    heights = [LINE * (len(above) + len(lines)) + MARGIN for above, lines in zip(headings, texts, strict=True)]
    canvas = Canvas(MARGIN + head + (LINE + MARGIN // 2 if legend else 0) + sum(heights))
    _draw_prompt(canvas, prompt, question)
    y = MARGIN + head
    if legend:
        _draw_legend(canvas, y, legend)
        y += LINE + MARGIN // 2
    for entry, above, lines, height in zip(entries, headings, texts, heights, strict=True):
        canvas.rule(y - MARGIN // 2)
        _draw_entry(canvas, y, entry, above, lines)
        y += height
    return np.asarray(canvas.image)


_HEADING_WIDTH = WIDTH - 2 * MARGIN - 18  # beside the mark


def _question_lines(prompt: Prompt) -> list[str]:
    """Return question, answer and key, wrapped to the space beside the images."""
    width = WIDTH - 2 * MARGIN - min(len(prompt.images), MAX_IMAGES) * (IMAGE_SIDE + MARGIN)
    lines = [line for _, line in wrapped(prompt.question, width)]
    if len(lines) > MAX_QUESTION_LINES:
        lines = [*lines[: MAX_QUESTION_LINES - 1], "…"]
    return [*lines, *(line for text in (f"answer: {prompt.answer}", prompt.key) for _, line in wrapped(text, width))]


def _draw_prompt(canvas: Canvas, prompt: Prompt, question: Sequence[str]) -> None:
    x = MARGIN
    for reference in prompt.images[:MAX_IMAGES]:
        canvas.paste(reference.load(), x, MARGIN, IMAGE_SIDE)
        x += IMAGE_SIDE + MARGIN
    for number, line in enumerate(question):
        canvas.write(x, MARGIN + number * LINE, line)


def _legend(entries: Sequence[_Entry]) -> list[Mark | Color]:
    """Return the legend of a card: its marks and its colours."""
    marks: list[Mark | Color] = [m for m in ("right", "wrong", "unknown") if any(entry.mark == m for entry in entries)]
    supports = {claim.is_supported for entry in entries for claim in entry.claims}
    return marks + [color for color, is_supported in ((GREEN, True), (RED, False)) if is_supported in supports]


def _draw_legend(canvas: Canvas, y: int, legend: Sequence[Mark | Color]) -> None:
    x = float(MARGIN)
    for item in legend:
        if isinstance(item, str):
            x = canvas.write(canvas.mark(x, y, _AS_BOOL[item]), y, item, GRAY) + MARGIN
        else:
            meaning = "claim: true" if item == GREEN else "claim: false"
            x = canvas.write(x, y, meaning, item, underlined=item == RED) + MARGIN


_AS_BOOL: dict[Mark, bool | None] = {"right": True, "wrong": False, "unknown": None}


def _shown(entry: _Entry) -> list[tuple[int, str]]:
    """Return the lines of a completion; the middle of a long completion is left out."""
    lines = wrapped(entry.text)
    if len(lines) <= FIRST_LINES + LAST_LINES + 1:
        return lines
    left_out = f"… {len(lines) - FIRST_LINES - LAST_LINES} lines …"
    return [*lines[:FIRST_LINES], (len(entry.text), left_out), *lines[-LAST_LINES:]]


def _draw_entry(
    canvas: Canvas, y: int, entry: _Entry, headings: Sequence[str], lines: Sequence[tuple[int, str]]
) -> None:
    x = float(MARGIN) if entry.mark is None else canvas.mark(MARGIN, y, _AS_BOOL[entry.mark])
    for number, heading in enumerate(headings):
        canvas.write(x, y + number * LINE, heading, GRAY)
    y += len(headings) * LINE
    colors = [BLACK] * len(entry.text)  # one per character
    for claim in entry.claims:
        colors[claim.start : claim.end] = [GREEN if claim.is_supported else RED] * (claim.end - claim.start)
    for number, (start, line) in enumerate(lines):
        canvas.write_colored(y + number * LINE, line, colors[start : start + len(line)] or [GRAY] * len(line))
