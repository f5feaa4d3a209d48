"""Measures the lengths of prompts in tokens once, and stores them.

Measuring a prompt processes its images, and a photograph takes a quarter of a second. So the ranks divide the prompts
among them, and a later run with the same reader (tokenizer, chat template, image processor) reads the stored file:

    runs/notes/my_data-<digest>/prompt_lengths/<digest of the reader>.json     {"<digest of the prompt>": 812, ...}
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from algorithms.records import FileReference, Prompt
from datamodules.streams.unusable import CountsTokens
from rollouts import gather_ranks
from storage import whole_file

logger = logging.getLogger(__name__)

FOLDER = "prompt_lengths"


class RememberedLengths:
    """Stored lengths of prompts; the module measures lengths that are not stored."""

    def __init__(self, module: CountsTokens, folder: Path) -> None:
        """Read the stored lengths.

        Args:
            module: module that counts the tokens.
            folder: folder of notes about the data.
        """
        self.module = module
        reader = reader_digest(module)
        # Lengths of a module whose reader is unknown are not stored.
        self.file = None if reader is None else folder / FOLDER / f"{reader}.json"
        self._lengths: dict[str, int] = _read(self.file)

    @property
    def longest_prompt(self) -> int | None:
        """Most tokens that the module can read before a completion; None when it is unknown."""
        return getattr(self.module, "longest_prompt", None)

    def prompt_length(self, prompt: Prompt) -> int:
        """Return the number of tokens of a prompt; raises the errors of the module."""
        length = self._lengths.get(prompt_digest(prompt)) if self.file is not None else None
        return self.module.prompt_length(prompt) if length is None else length

    def measure(self, prompts: Sequence[Prompt], rank: int, num_ranks: int) -> None:
        """Measure prompts without a stored length, each on one rank, and store the lengths; a collective call.

        Args:
            prompts: prompts, the same on every rank.
            rank: this process.
            num_ranks: number of processes.
        """
        if self.file is None:
            return
        unknown = {digest: prompt for prompt in prompts if (digest := prompt_digest(prompt)) not in self._lengths}
        mine = dict(list(unknown.items())[rank::num_ranks])
        for measured in gather_ranks({digest: self._measured(prompt) for digest, prompt in mine.items()}):
            self._lengths |= {digest: length for digest, length in measured.items() if length is not None}
        if unknown and rank == 0:
            self._write(self.file)

    def _measured(self, prompt: Prompt) -> int | None:
        try:
            return self.module.prompt_length(prompt)
        # The check of rows measures this prompt again, and rejects it with the reason.
        except Exception:
            return None

    def _write(self, file: Path) -> None:
        try:
            with whole_file(file) as draft:
                draft.write_text(json.dumps(self._lengths), encoding="utf-8")
        except OSError as error:
            # The folder may be read-only; then the next run measures again.
            logger.warning("%s cannot be written, so prompts are measured at every start: %s", file, error)


def reader_digest(module: object) -> str | None:
    """Return a digest of everything that prompt lengths depend on; None when the module does not show it."""
    encoder = getattr(getattr(module, "loaded_policy", None), "encoder", None)
    tokenizer = getattr(encoder, "tokenizer", None)
    if tokenizer is None:
        return None
    images = getattr(encoder, "image_processor", None)
    entries: list[Any] = [
        transformers.__version__,
        type(getattr(encoder, "processor", None)).__name__,
        tokenizer.chat_template,
        sorted(tokenizer.get_vocab().items()),
        images.to_json_string() if images is not None else None,
    ]
    return _digest(entries)


def prompt_digest(prompt: Prompt) -> str:
    """Return a digest of a prompt's content; a file that was written again counts as another image."""
    return _digest([prompt.system, prompt.question, prompt.prefill, [_image(image) for image in prompt.images]])


def _image(image: Any) -> list[Any]:
    if isinstance(image, FileReference) and isinstance(image.path, Path):
        status = image.path.stat()
        return [repr(image), status.st_size, status.st_mtime_ns]
    return [repr(image)]


def _digest(entries: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(entries).encode(), digest_size=12).hexdigest()


def _read(file: Path | None) -> dict[str, int]:
    try:
        return {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The file does not exist yet, or is no such file and is replaced.
        return {}
