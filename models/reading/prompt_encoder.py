"""Prompts to tensors: chat template, tokenizer and image processor of a policy, each image processed once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from algorithms import DataError, Prompt

# transformers annotates results of tokenizers as unions over all possible arguments.
Tokenizer = Any
"""A ``PreTrainedTokenizerBase``."""

Processor = Any
"""A ``ProcessorMixin``; for a policy without vision its tokenizer."""

IMAGE_MARK = "<image>"
OPEN_REASONING = "<think>"
# Outputs of a processor that describe the text; a policy makes its own, for padded rows.
_TEXT_KEYS = {"attention_mask", "token_type_ids", "mm_token_type_ids"}


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """The tensors of one prompt."""

    token_ids: Int[Tensor, " L"]
    """Chat-formatted tokens up to and including the generation prompt, image tokens expanded."""

    vision: dict[str, Tensor]
    """The output of the image processor: ``pixel_values`` and, for some models, grids. Empty without image."""

    @property
    def num_bytes(self) -> int:
        """Memory held by the tensors."""
        return sum(t.numel() * t.element_size() for t in (self.token_ids, *self.vision.values()))


class PromptEncoder:
    """Turns prompts into tensors and keeps the latest ones, so that a rollout and its updates share the work."""

    def __init__(self, processor: Processor, *, cache_megabytes: int = 256) -> None:
        """Wrap a Hugging Face processor, or a tokenizer for a policy without vision.

        Args:
            processor: an ``AutoProcessor`` or tokenizer with a chat template.
            cache_megabytes: memory for encoded prompts; the least recently used leave first.
        """
        self.processor = processor
        self.tokenizer: Tokenizer = getattr(processor, "tokenizer", processor)
        self.image_processor: Any = getattr(processor, "image_processor", None)
        self.has_vision = self.image_processor is not None
        # By identity, because uids repeat across data sets. The prompt is kept too: Python gives the identity of an
        # object that is gone to another one.
        self._cache: OrderedDict[int, tuple[Prompt, EncodedPrompt]] = OrderedDict()
        self._free_bytes = cache_megabytes * 2**20

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Return a prompt's tensors.

        Raises:
            DataError: for images given to a policy without vision tower.
        """
        if hit := self._cache.get(id(prompt)):
            self._cache.move_to_end(id(prompt))
            return hit[1]
        encoded = self._encode(prompt)
        self._keep(prompt, encoded)
        return encoded

    def encode_all(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt]:
        """Return the tensors of several prompts; new ones go through the processor together where this is equal."""
        new = list({id(p): p for p in prompts if p.images and id(p) not in self._cache}.values())
        if len(new) > 1:
            first = self.encode(new[0])
            # The batch is cut into prompts by the number of their images, which is not possible where patches of
            # different images lie in one tensor: there the processor makes grids besides.
            if set(first.vision) == {"pixel_values"} and self.tokenizer.pad_token is not None:
                # Not strict: there may be no result at all.
                for prompt, encoded in zip(new[1:], self._encode_batch(new[1:]), strict=False):
                    self._keep(prompt, encoded)
        return [self.encode(prompt) for prompt in prompts]

    def length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded."""
        return len(self.encode(prompt).token_ids)

    def chat_text(self, prompt: Prompt) -> str:
        """Return the prompt in the chat template, one image mark per image, and its prefill, ready to be continued."""
        if prompt.images and not self.has_vision:
            raise DataError(
                f"prompt {prompt.key} has {len(prompt.images)} image(s), but the policy has no vision tower: "
                "use a policy with one, or rows without 'image'."
            )
        content = interleave(prompt) if self.has_vision else prompt.question
        turn = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return turn + prompt.prefill

    def completion_ids(self, texts: Sequence[str], ended: Sequence[bool]) -> list[Tensor]:
        """Return the tokens of completions given as texts.

        Args:
            texts: completions; a ``<think>`` that the generation prompt already opened is left out.
            ended: for each, whether the end-of-turn token follows.
        """
        if self._opens_reasoning:
            # The prompt ends with the tag already.
            texts = [text.removeprefix(OPEN_REASONING).lstrip("\n") for text in texts]
        end = [self.tokenizer.eos_token_id]
        rows = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [torch.tensor(row + end * has_end) for row, has_end in zip(rows, ended, strict=True)]

    @cached_property
    def _opens_reasoning(self) -> bool:
        """Return whether the generation prompt ends with an opening tag, as that of QwQ does."""
        return self.chat_text(Prompt(uid=0, key="", question="")).rstrip().endswith(OPEN_REASONING)

    def _keep(self, prompt: Prompt, encoded: EncodedPrompt) -> None:
        self._cache[id(prompt)] = (prompt, encoded)
        self._free_bytes -= encoded.num_bytes
        while self._free_bytes < 0 and len(self._cache) > 1:
            _, (_, dropped) = self._cache.popitem(last=False)
            self._free_bytes += dropped.num_bytes

    def _encode_batch(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt]:
        """Return tensors of prompts with images; none where the processor makes several rows of pixels of an image."""
        images = [[image.load() for image in prompt.images] for prompt in prompts]
        texts = [self.chat_text(prompt) for prompt in prompts]
        inputs = self.processor(text=texts, images=images, return_tensors="pt", padding=True)
        counts = [len(of_prompt) for of_prompt in images]
        if len(inputs["pixel_values"]) != sum(counts):
            return []
        pixels = inputs["pixel_values"].split(counts)
        is_token = inputs["attention_mask"].bool()
        return [
            # A copy: a view would keep the pixels of the whole batch in memory.
            EncodedPrompt(ids[kept], {"pixel_values": rows.clone()})
            for ids, kept, rows in zip(inputs["input_ids"], is_token, pixels, strict=True)
        ]

    def _encode(self, prompt: Prompt) -> EncodedPrompt:
        text = self.chat_text(prompt)
        if not prompt.images:
            return EncodedPrompt(self.tokenizer(text, return_tensors="pt")["input_ids"][0], {})
        images = [image.load() for image in prompt.images]
        inputs = self.processor(text=[text], images=images, return_tensors="pt")
        token_ids = inputs.pop("input_ids")[0]
        vision = {k: v for k, v in inputs.items() if isinstance(v, Tensor) and k not in _TEXT_KEYS}
        return EncodedPrompt(token_ids, vision)


def interleave(prompt: Prompt) -> list[dict[str, str]]:
    """Return chat content with images where the question marks them; without marks, images come first."""
    pieces = prompt.question.split(IMAGE_MARK)
    if len(pieces) == 1:  # no mark
        pieces = [""] * len(prompt.images) + pieces
    content: list[dict[str, str]] = []
    for number, piece in enumerate(pieces):
        if number:
            content.append({"type": "image"})
        if piece.strip():
            content.append({"type": "text", "text": piece.strip("\n")})
    return content


def left_pad(rows: Sequence[Tensor], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return rows of token ids aligned at their end, and where they are not padding."""
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = row
    # From lengths, not from ids: the padding token may be a real token elsewhere.
    lengths = torch.tensor([len(row) for row in rows])
    return ids, torch.arange(longest)[None, :] >= (longest - lengths)[:, None]


def right_pad(rows: Sequence[Tensor], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return rows of token ids aligned at their start, and where they are not padding."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=pad_id)
    # From lengths, not from ids: the padding token may be a real token elsewhere.
    return ids, torch.arange(ids.shape[1])[None, :] < lengths[:, None]
