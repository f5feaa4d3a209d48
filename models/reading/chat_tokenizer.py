"""Conversations to tokens: chat template and tokenizer of a policy, exactly as transformers would put them together.

    prompt -> messages, cut where a text holds control tokens -> template -> tokens, one for each image

The tokens are those of ``apply_chat_template(tokenize=True)``, so a template that writes a start-of-text token gets no
second one. There is one difference: control tokens in the words of users and data stay text.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from algorithms import Prompt, PromptError
from models.reading.chat_frame import Content, content
from models.reading.plain_text import CUT, cut_controls, without_cuts
from models.reading.token_kinds import TokenKinds, token_kinds

# transformers annotates results of tokenizers as unions over all possible arguments.
Tokenizer = Any
"""A ``PreTrainedTokenizerBase``."""

Processor = Any
"""A ``ProcessorMixin``; for a policy without vision its tokenizer."""

IMAGE_MARK = "<image>"
OPEN_REASONING = "<think>"


class ChatTokenizer:
    """Turns prompts, conversations and completions into tokens."""

    def __init__(self, processor: Processor, kinds: TokenKinds | None = None) -> None:
        """Wrap a Hugging Face processor, or a tokenizer for a policy without vision.

        Args:
            processor: an ``AutoProcessor`` or tokenizer with a chat template.
            kinds: which tokens end turns, are banned, or are content; None: found from the processor alone.
        """
        self.processor = processor
        self.tokenizer: Tokenizer = getattr(processor, "tokenizer", processor)
        self.image_processor: Any = getattr(processor, "image_processor", None)
        self.has_vision = self.image_processor is not None
        self.kinds = kinds or token_kinds(processor)
        # Keys: number of images, whether there is a system turn, whether the conversation is answered.
        self._num_controls: dict[tuple[int, bool, bool], int] = {}

    def chat_text(self, prompt: Prompt) -> str:
        """Return the prompt in the chat template, one image mark per image, and its prefill, ready to be continued."""
        return without_cuts(self._chat(prompt))

    def chat_ids(self, prompt: Prompt) -> list[int]:
        """Return the tokens of ``chat_text``, one for each image; a control token in a user's text stays text.

        Raises:
            PromptError: for what ``encode`` refuses, except images that cannot be read.
        """
        ids = self.tokenize(self._chat(prompt))
        self.check_controls(prompt, ids, is_answered=False)
        return ids

    def conversation(self, prompt: Prompt) -> list[dict[str, Any]]:
        """Return the messages of a prompt for the chat template, cut within control tokens."""
        asked = {"role": "user", "content": self._question(prompt)}
        if not prompt.system:
            return [asked]
        system = content(cut_controls(prompt.system, self.kinds.in_questions), has_vision=self.has_vision)
        return [{"role": "system", "content": system}, asked]

    def render(self, messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        """Return messages in the chat template."""
        return self.processor.apply_chat_template(
            list(messages), add_generation_prompt=add_generation_prompt, tokenize=False
        )

    def tokenize(self, templated: str) -> list[int]:
        """Return the tokens of a templated text, piece by piece where it is cut."""
        # As in transformers: a tokenizer's method adds no special tokens; a processor's method adds a start-of-text
        # token where the template did not write one.
        bos = self.tokenizer.bos_token
        adds_special = self.processor is not self.tokenizer and not (bos and templated.startswith(bos))
        pieces = [piece for piece in templated.split(CUT) if piece]
        return [
            token
            for number, piece in enumerate(pieces)
            for token in self.tokenizer(piece, add_special_tokens=adds_special and number == 0)["input_ids"]
        ]

    def check_controls(self, prompt: Prompt, ids: Sequence[int], *, is_answered: bool) -> None:
        """Refuse tokens in which a text became a control token, for example because a tokenizer changes the case first.

        Args:
            prompt: prompt to which the tokens belong.
            ids: tokens of the conversation, one for each image.
            is_answered: whether the tokens end with a closed turn of the assistant and not with the generation prompt.

        Raises:
            PromptError: for another number of control tokens than the template itself writes.
        """
        key = (len(prompt.images), bool(prompt.system), is_answered)
        if key not in self._num_controls:
            # The same conversation with harmless texts has only the control tokens of the template.
            plain = Prompt(uid=0, key="", question="x", images=prompt.images, system="x" if prompt.system else "")
            messages = self.conversation(plain)
            if is_answered:
                messages.append({"role": "assistant", "content": content("x", has_vision=self.has_vision)})
            text = self.render(messages, add_generation_prompt=not is_answered)
            self._num_controls[key] = self._count_controls(self.tokenize(text))
        if (found := self._count_controls(ids)) != self._num_controls[key]:
            raise PromptError(
                prompt.key,
                "control token in text",
                f"{found} control tokens, where the chat template writes {self._num_controls[key]}",
            )

    def completion_ids(self, texts: Sequence[str], ended: Sequence[bool]) -> list[Tensor]:
        """Return the tokens of completions given as texts.

        Args:
            texts: completions; a ``<think>`` that the generation prompt already opened is left out. A text that spells
                an end of turn or an image stays text.
            ended: for each, whether the end-of-turn token follows.
        """
        if self._opens_reasoning:
            # The prompt ends with the tag already.
            texts = [text.removeprefix(OPEN_REASONING).lstrip("\n") for text in texts]
        pieces = [self.cut_completion(text).split(CUT) for text in texts]
        # All pieces of all texts in one call, because a fast tokenizer works on several at once.
        rows = self.tokenizer([piece for of_text in pieces for piece in of_text], add_special_tokens=False)["input_ids"]
        bounds = pairwise(accumulate(map(len, pieces), initial=0))
        joined = [[token for piece in rows[start:stop] for token in piece] for start, stop in bounds]
        end = [self.kinds.end_ids[0]]
        return [torch.tensor(row + end * has_end, dtype=torch.long) for row, has_end in zip(joined, ended, strict=True)]

    def cut_completion(self, text: str) -> str:
        """Return the text of a completion, cut within the tokens that no completion may hold."""
        return cut_controls(text, self.kinds.in_completions)

    @cached_property
    def _opens_reasoning(self) -> bool:
        """Return whether the generation prompt ends with an opening tag, as that of QwQ does."""
        return self.chat_text(Prompt(uid=0, key="", question="")).rstrip().endswith(OPEN_REASONING)

    def _count_controls(self, ids: Sequence[int]) -> int:
        return sum(token in self.kinds.never_from_text for token in ids)

    def _question(self, prompt: Prompt) -> Content:
        if not self.has_vision:
            return cut_controls(prompt.question, self.kinds.in_questions)
        parts = interleave(prompt)
        num_marks = sum(part["type"] == "image" for part in parts)
        if num_marks != len(prompt.images):
            raise PromptError(
                prompt.key,
                "image marks do not match images",
                f"{num_marks} x {IMAGE_MARK}, {len(prompt.images)} x image",
            )
        return [
            {**part, "text": cut_controls(part["text"], self.kinds.in_questions)} if "text" in part else part
            for part in parts
        ]

    def _chat(self, prompt: Prompt) -> str:
        if prompt.images and not self.has_vision:
            raise PromptError(
                prompt.key,
                "images without a vision tower",
                f"{len(prompt.images)} image(s), but the policy has no vision tower: use a policy with one, or rows "
                "without 'image'",
            )
        turn = self.render(self.conversation(prompt), add_generation_prompt=True)
        return turn + self.cut_completion(prompt.prefill)


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
