"""What a user brings: policies and data with names of their own, so small that a run takes seconds."""

import json
from pathlib import Path
from typing import Any

import torch

from models import Policy
from models.assembly.tiny import fresh_language_model, word_tokenizer
from tests.conftest import sharp_policy
from tests.datamodules.public_layouts.pieces import json_lines, save
from tests.models.families import family

WORDS = (
    "how many dots are there left right ? the answer is 0 1 2 3 4 5 6 7 user assistant system First reason step by"
    " step and end with Then give the final letter of choice in"
)


def write_model(folder: Path, policy: Policy | None = None, *, context: int = 128) -> Path:
    """Save a policy whose context leaves room for short completions only."""
    policy = policy or sharp_policy()
    policy.model.save_pretrained(folder)
    policy.processor.save_pretrained(folder)  # pyright: ignore[reportAttributeAccessIssue]
    config = folder / "config.json"
    content = json.loads(config.read_text())
    content.get("text_config", content)["max_position_embeddings"] = context
    config.write_text(json.dumps(content))
    return folder


def qwen_vl() -> Policy:
    return family("qwen2_5_vl")


def language_model() -> Policy:
    """A language model that knows the words of ``write_texts``, and of what is asked besides."""
    torch.manual_seed(0)
    tokenizer: Any = word_tokenizer([*WORDS.split(), r"\boxed{}.", r"\boxed{", "}", "reasoning", "</think>."])
    model = fresh_language_model(
        len(tokenizer), hidden_size=64, num_layers=1, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id
    )
    return Policy(model, tokenizer)


def write_photos(folder: Path, num_rows: int = 4) -> Path:
    """Questions about pictures that lie in a folder of their own, under other names than the usual ones."""
    rows = [
        {"problem": "how many red ?", "picture": f"{i}.png", "solution": str(i), "by": "me"} for i in range(num_rows)
    ]
    for i in range(num_rows):
        save(i, folder / "pictures" / f"{i}.png")
    json_lines(folder / "train.jsonl", rows)
    json_lines(folder / "validation.jsonl", rows[:1])
    return folder


def write_texts(file: Path, num_rows: int = 4) -> Path:
    json_lines(file, [{"prompt": f"how many dots are left ? {i}", "answer": i} for i in range(num_rows)])
    return file


def write_pairs(folder: Path, num_rows: int = 16) -> Path:
    rows = [
        {"question": f"how many plus {i % 5} ?", "chosen": f"look {i % 5}", "rejected": "guess"}
        for i in range(num_rows)
    ]
    json_lines(folder / "train.jsonl", rows)
    return folder
