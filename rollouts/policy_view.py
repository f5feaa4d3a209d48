"""The attributes and methods of a policy that an engine may use. ``models.Policy`` has all of them; ``rollouts`` cannot
import ``models``.

Shapes: U prompts, B rows, L prompt tokens, V vocabulary, H hidden size.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from algorithms import Prompt


class EncodedText(Protocol):
    """A prompt as the policy reads it."""

    @property
    def token_ids(self) -> Int[Tensor, " L"]:
        """Chat-formatted tokens up to and including the generation prompt, image tokens expanded."""
        ...


class SampledEncoder(Protocol):
    """How a policy turns prompts into tokens, and tokens into text."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The Hugging Face tokenizer."""
        ...

    def encode(self, prompt: Prompt) -> EncodedText:
        """Return the tokens of a prompt.

        Raises:
            algorithms.DataError: for a prompt that the policy cannot read.
        """
        ...

    def chat_ids(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt in the chat template with its prefill, one for each image.

        Raises:
            algorithms.DataError: for a prompt that ``encode`` refuses.
        """
        ...


class SampledPolicy(Protocol):
    """A vision-language model that completions are sampled from."""

    # Properties and not attributes, so that a class may declare a narrower type, such as its own encoder.

    @property
    def model(self) -> PreTrainedModel:
        """The Hugging Face model. Its logits are raw: pass them through ``shape_logits`` before sampling."""
        ...

    @property
    def encoder(self) -> SampledEncoder:
        """What turns prompts into tokens."""
        ...

    @property
    def processor(self) -> ProcessorMixin | PreTrainedTokenizerBase:
        """The Hugging Face processor, or the tokenizer of a model without vision."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def end_token_ids(self) -> Sequence[int]:
        """The tokens that end a completion; each of them does."""
        ...

    @property
    def banned_token_ids(self) -> Int[Tensor, " N"]:
        """Tokens that no completion may hold, sorted; none of ``end_token_ids`` is among them."""
        ...

    @property
    def lora_ranks(self) -> Mapping[str, int]:
        """Largest rank of LoRA updates in each part that has any; parts as ``model.learning.lora.parts`` names them."""
        ...

    @property
    def tied_names(self) -> Mapping[str, str]:
        """For each further name of a tied tensor its first one; ``stream_weights`` yields it under all of them."""
        ...

    @property
    def training(self) -> bool:
        """Whether the policy is in training mode. Engines sample in evaluation mode and restore this afterwards."""
        ...

    def train(self, mode: bool = True) -> object:
        """Switch to training mode, or to evaluation mode for False."""
        ...

    def whole_weights(self) -> AbstractContextManager[None]:
        """Return a context in which this rank may read the model alone; a collective call for sharded weights."""
        ...

    def prompt_inputs(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """Return the model's keyword arguments for U prompts.

        ``input_ids`` and ``attention_mask`` are (U, L), left-padded, on ``device``. Images are already features, in the
        form that the model takes.
        """
        ...

    def next_positions(self, inputs: dict[str, Any]) -> Int[Tensor, "U 1"] | None:
        """Return the position of the first token after each prompt; None where the model counts positions itself.

        Args:
            inputs: result of ``prompt_inputs``, after the model has read it.
        """
        ...

    def position_inputs(self, positions: Int[Tensor, "B T"] | None) -> dict[str, Tensor]:
        """Return the model's keyword arguments for positions of text tokens; no arguments for None."""
        ...

    def shape_logits(self, logits: Tensor, temperature: float) -> Tensor:
        """Return logits (..., V) divided by the temperature, with banned tokens at minus infinity."""
        ...

    def stream_weights(self, *, only_trainable: bool = False, merge_lora: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield whole tensors under the names of the model's ``state_dict``, one at a time.

        With sharded weights every step of the iteration is a collective call, so every rank must iterate to the end.

        Args:
            only_trainable: leave out the tensors that no optimizer step changes.
            merge_lora: add LoRA updates to their weights. False: each update follows its weight, as
                ``LAYER.lora_A.weight`` (rank, in) and ``LAYER.lora_B.weight`` (out, rank), scale included.
        """
        ...
