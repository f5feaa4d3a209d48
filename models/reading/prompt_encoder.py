"""Prompts to tensors: chat template, tokenizer and image processor of a policy, each image processed once.

prompt -> chat tokens, one for each image   (``models.reading.chat_tokenizer``)
image  -> image processor -> pixels, and the tokens that replace the image's one token
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from algorithms import Prompt, PromptError
from models.reading.chat_tokenizer import ChatTokenizer, Processor, Tokenizer, interleave
from models.reading.token_kinds import TokenKinds

__all__ = ["EncodedPrompt", "Processor", "PromptEncoder", "Tokenizer", "interleave", "left_pad", "right_pad"]

# Outputs of a processor that describe the text; a policy makes its own, for padded rows.
_TEXT_KEYS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}


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


ReadImage = tuple[Tensor, dict[str, Tensor]]
"""The tokens that stand for an image, and the output of the image processor for it."""


class PromptEncoder(ChatTokenizer):
    """Turns prompts into tensors and keeps the latest ones, so that a rollout and its updates share the work."""

    def __init__(self, processor: Processor, kinds: TokenKinds | None = None, *, cache_megabytes: int = 256) -> None:
        """Wrap a Hugging Face processor, or a tokenizer for a policy without vision.

        Args:
            processor: an ``AutoProcessor`` or tokenizer with a chat template.
            kinds: which tokens end turns, are banned, or are content; None: found from the processor alone.
            cache_megabytes: memory for encoded prompts; the least recently used leave first.
        """
        super().__init__(processor, kinds)
        # Keyed by identity, because uids repeat across data sets. The prompt is stored too, because Python may reuse
        # the identity of an object that was deleted.
        self._cache: OrderedDict[int, tuple[Prompt, EncodedPrompt]] = OrderedDict()
        self._free_bytes = cache_megabytes * 2**20

    def encode(self, prompt: Prompt) -> EncodedPrompt:
        """Return a prompt's tensors.

        Raises:
            PromptError: for images that cannot be read, or given to a policy without vision tower; for another number
                of image marks; for a text that the tokenizer turns into control tokens.
        """
        if hit := self._cache.get(id(prompt)):
            self._cache.move_to_end(id(prompt))
            return hit[1]
        encoded = self._joined(prompt, self._read_images(prompt))
        self._keep(prompt, encoded)
        return encoded

    def encode_all(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt]:
        """Return the tensors of several prompts; new prompts are one batch where the result is the same."""
        new = list({id(p): p for p in prompts if p.images and id(p) not in self._cache}.values())
        if len(new) > 1:
            first = self.encode(new[0])
            # The batch is cut into images by rows of pixels. This is not possible for processors that put the patches
            # of all images into one tensor; such processors also return grids.
            if set(first.vision) == {"pixel_values"} and self.tokenizer.pad_token is not None:
                self._keep_batch(new[1:])
        return [self.encode(prompt) for prompt in prompts]

    def length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded; raises what ``encode`` raises."""
        return len(self.encode(prompt).token_ids)

    def _keep(self, prompt: Prompt, encoded: EncodedPrompt) -> None:
        self._cache[id(prompt)] = (prompt, encoded)
        self._free_bytes -= encoded.num_bytes
        while self._free_bytes < 0 and len(self._cache) > 1:
            _, (_, dropped) = self._cache.popitem(last=False)
            self._free_bytes += dropped.num_bytes

    def _keep_batch(self, prompts: Sequence[Prompt]) -> None:
        """Encode prompts with images as one batch; none if the processor makes several rows of pixels per image."""
        try:
            images = [image.load() for prompt in prompts for image in prompt.images]
            inputs = self._process(images)
            if len(inputs["pixel_values"]) != len(images):
                return
        except Exception:  # one image is bad; encoding one by one then names its prompt
            return
        is_token = inputs["attention_mask"].bool()
        read = iter(
            # Copied, because views would keep the pixels of the whole batch in memory.
            (ids[kept], {"pixel_values": pixels[None].clone()})
            for ids, kept, pixels in zip(inputs["input_ids"], is_token, inputs["pixel_values"], strict=True)
        )
        for prompt in prompts:
            self._keep(prompt, self._joined(prompt, [next(read) for _ in prompt.images]))

    def _read_images(self, prompt: Prompt) -> list[ReadImage]:
        """Return the tokens and the pixels of each image."""
        read: list[ReadImage] = []
        for number, reference in enumerate(prompt.images if self.has_vision else (), 1):
            image = _attempt(prompt, "corrupt image", number, reference.load)
            inputs = _attempt(prompt, "image that the processor refuses", number, self._process, [image])
            vision = {k: v for k, v in inputs.items() if isinstance(v, Tensor) and k not in _TEXT_KEYS}
            read.append((inputs["input_ids"][0], vision))
        return read

    def _process(self, images: Sequence[Any]) -> Any:
        """Return the processor's output for images; each image has a text that holds its mark only."""
        return self.processor(
            text=[self.processor.image_token] * len(images),
            images=[[image] for image in images],
            return_tensors="pt",
            padding=len(images) > 1,
            add_special_tokens=False,
        )

    def _joined(self, prompt: Prompt, images: Sequence[ReadImage]) -> EncodedPrompt:
        """Return a prompt's tensors; the tokens of each image replace its mark."""
        ids = self.chat_ids(prompt)
        if not prompt.images:
            return EncodedPrompt(torch.tensor(ids), {})
        mark = self.tokenizer.convert_tokens_to_ids(self.processor.image_token)
        places = [place for place, token in enumerate(ids) if token == mark]
        if len(places) != len(images):
            raise PromptError(
                prompt.key, "image marks do not match images", f"{len(places)} image tokens, {len(images)} images"
            )
        starts = [0, *(place + 1 for place in places)]
        texts = [
            torch.tensor(ids[start:end], dtype=torch.long) for start, end in zip(starts, [*places, None], strict=True)
        ]
        pieces = [texts[0], *(part for image, text in zip(images, texts[1:], strict=True) for part in (image[0], text))]
        vision = {key: torch.cat([of_image[key] for _, of_image in images]) for key in images[0][1]}
        return EncodedPrompt(torch.cat(pieces), vision)


def _attempt(prompt: Prompt, reason: str, number: int, read: Callable[..., Any], *args: Any) -> Any:
    """Return the result of ``read``; an error of any class becomes a ``PromptError`` of this prompt."""
    try:
        return read(*args)
    # A StopIteration of a processor would end the data for Lightning.
    except Exception as error:  # decoders and processors raise errors of any class
        lines = str(error).splitlines() or [""]
        raise PromptError(prompt.key, reason, f"image {number}: {type(error).__name__}: {lines[0][:200]}") from error


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
