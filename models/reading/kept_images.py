"""What a frozen vision tower makes of an image, kept for as long as a rollout needs it.

    sampling, the learner's log-probs, every micro-batch  ->  tower: once for all  ->  adapter: each time, if it learns

Kept, in main memory, is what the adapter reads; where the adapter is frozen too, what it returns.

The last digits of what a tower returns depend on which images it reads together. So nothing that is kept leaves before
the rollout ends, and ``groups`` says which prompts were read together: a run that resumes within a rollout reads them
in these groups again, and goes on with the same numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from algorithms import Prompt
from models.families import Vision
from models.parts import frozen_parts
from models.reading.image_features import adapted, image_features, unadapted

# Of one process. A tile of InternViT-6B has 6.6 MB in bfloat16, an image of 1,000 tokens of Qwen2.5-VL 10 MB.
_MOST_BYTES = 4 * 2**30

BLANK = Prompt(uid=-1, key="blank", question="")
"""Stands for a black image, which a rank without images reads where others have some."""

Features = list[Tensor]
"""One tensor for each image or tile of a prompt."""


class KeptImages:
    """Reads images and keeps what a frozen tower made of them, while it is open; else it reads them and keeps nothing.

    By the identity of prompts, which the data module holds: uids repeat across data sets.
    """

    def __init__(self) -> None:
        """Start closed, without any image."""
        self._is_open = False
        self.forget()

    def forget(self) -> None:
        """Drop everything: a new rollout begins."""
        # The prompt is kept too: Python gives the identity of an object that is gone to another one.
        self._kept: dict[int, tuple[Prompt, Features]] = {}
        self._groups: list[list[Prompt]] = []
        self._free_bytes = _MOST_BYTES

    @property
    def groups(self) -> list[list[Prompt]]:
        """The prompts whose images were read together and kept, in order."""
        return [list(group) for group in self._groups]

    @contextmanager
    def open(self, model: PreTrainedModel) -> Iterator[None]:
        """Keep images until the context ends; what is kept stays. Nothing is kept of a tower that learns.

        Args:
            model: a vision-language model, or a language model alone.
        """
        frozen = frozen_parts(model)
        was_open, self._is_open = self._is_open, "vision_tower" in frozen
        self._has_adapted = "adapter" in frozen
        try:
            yield
        finally:
            self._is_open = was_open

    def lacks(self, prompts: Sequence[Prompt]) -> bool:
        """Return whether the tower has to run for the images of these prompts, each of which has some."""
        return not self._is_open or any(id(prompt) not in self._kept for prompt in prompts)

    def features(self, model: PreTrainedModel, prompts: Sequence[Prompt], visions: Sequence[Vision]) -> list[Features]:
        """Return for each prompt the adapted features of its images or tiles, as ``image_features`` does.

        Args:
            model: a vision-language model.
            prompts: what is kept is found by them.
            visions: for each prompt the output of the image processor; empty without image.
        """
        if not self._is_open:
            return image_features(model, visions)
        read = self._read_missing(model, prompts, visions)
        rows = [
            [kept.to(model.device) for kept in self._kept[id(prompt)][1]] if id(prompt) in self._kept else read[i]
            for i, prompt in enumerate(prompts)
        ]
        return rows if self._has_adapted else adapted(model, rows)

    @torch.no_grad()
    def _read_missing(
        self, model: PreTrainedModel, prompts: Sequence[Prompt], visions: Sequence[Vision]
    ) -> list[Features]:
        """Return what the tower makes of images that are not kept, and keep it while there is room."""
        missing = [{} if id(prompt) in self._kept else vision for prompt, vision in zip(prompts, visions, strict=True)]
        read = (image_features if self._has_adapted else unadapted)(model, missing)
        num_kept = len(self._kept)
        for prompt, features in zip(prompts, read, strict=True):
            num_bytes = sum(feature.numel() * feature.element_size() for feature in features)
            if features and num_bytes <= self._free_bytes:
                # Copies: views would keep the features of the whole batch in memory.
                self._kept[id(prompt)] = prompt, [feature.to("cpu", copy=True) for feature in features]
                self._free_bytes -= num_bytes
        group = [prompt for prompt, vision in zip(prompts, missing, strict=True) if vision and prompt is not BLANK]
        if group and len(self._kept) > num_kept:
            self._groups.append(group)
        return read
