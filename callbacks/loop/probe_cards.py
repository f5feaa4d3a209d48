"""A picture of one probe: the image, the question, and the completion with its unsupported claims marked."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from callbacks.completion_card import IMAGE_SIDE, LINE, MARGIN, WIDTH, draw_prompt, draw_text, wrap_text
from hallucination import JudgedCompletion


def probe_card(judged: JudgedCompletion) -> Any:
    """Return the card as an array (height, width, 3); supported claims are green, the others red."""
    lines = wrap_text(judged.completion.text)
    card = Image.new("RGB", (WIDTH, 2 * MARGIN + IMAGE_SIDE + (len(lines) + 2) * LINE), "white")
    canvas, font = ImageDraw.Draw(card), ImageFont.load_default(size=15)
    draw_prompt(card, canvas, font, judged.prompt)
    told = f"{judged.num_unsupported} of {len(judged.claims)} claims unsupported; the image shows: " + (
        ", ".join(judged.prompt.facts) if judged.prompt.facts is not None else str(judged.prompt.answer)
    )
    y = MARGIN + IMAGE_SIDE + LINE // 2
    canvas.text((MARGIN, y), told[:120], fill=(110, 110, 110), font=font)
    draw_text(canvas, font, y + LINE, judged.completion.text, judged.claims)
    return np.asarray(card)
