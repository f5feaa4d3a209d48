"""Greedy completions of an exported folder by transformers alone: ``python plain_transformers.py FOLDER MAX_TOKENS``.

Reads conversations as OpenAI's endpoint takes them, as JSON; writes {"ids": [...], "logps": [[...], ...]} of each, the
log-probabilities of all tokens at every step, with ``torch.save``. Nothing of this project is imported.
"""

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def as_transformers_takes_it(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    _, _, packed = part["image_url"]["url"].partition("base64,")
    return {"type": "image", "image": Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB")}


def main(folder: str, max_tokens: int, conversations: Path, said: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    completions = []
    for messages in json.loads(conversations.read_text()):
        turns = [{**turn, "content": [as_transformers_takes_it(part) for part in turn["content"]]} for turn in messages]
        inputs = processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        out = model.generate(
            **inputs, do_sample=False, max_new_tokens=max_tokens, return_dict_in_generate=True, output_logits=True
        )
        completions.append({
            "ids": out.sequences[0, inputs["input_ids"].shape[1] :].tolist(),
            "logps": torch.cat(out.logits).log_softmax(-1),  # (T, V)
        })  # fmt: skip
    torch.save(completions, said)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
