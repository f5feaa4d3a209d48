"""Keeps the outputs of a frozen vision tower for the images of a rollout, until the rollout ends.

    sampling, the learner's log-probs, every micro-batch  ->  tower: once for all  ->  adapter: each time, if it learns

Main memory holds the input of the adapter or, when the adapter is frozen too, its output.

The last digits of a tower's output depend on the images that the tower reads together. So outputs stay until the
rollout ends, and ``groups`` lists the prompts that were read together: a run that resumes within a rollout reads the
same groups again, and gets the same numbers.
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

# Limit for one process. In bfloat16 a tile of InternViT-6B takes 6.6 MB, an image of 1,000 tokens of Qwen2.5-VL 10 MB.
_MOST_BYTES = 4 * 2**30

BLANK = Prompt(uid=-1, key="blank", question="")
"""Prompt of the black image that a rank without images reads when other ranks have images."""

Features = list[Tensor]
"""One tensor for each image or tile of a prompt."""


class KeptImages:
    """Reads images. While it is open, it keeps the outputs of a frozen tower.

    Outputs are found by the identity of prompts, which the data module holds, because uids repeat across data sets.
    """

    def __init__(self) -> None:
        """Start closed, without images."""
        self._is_open = False
        self.forget()

    def forget(self) -> None:
        """Drop everything: a new rollout begins."""
        # The prompt is stored too, because Python may reuse the identity of an object that was deleted.
        self._kept: dict[int, tuple[Prompt, Features]] = {}
        self._groups: list[list[Prompt]] = []
        self._free_bytes = _MOST_BYTES

    @property
    def groups(self) -> list[list[Prompt]]:
        """The prompts whose images were read together and kept, in order."""
        return [list(group) for group in self._groups]

    @contextmanager
    def open(self, model: PreTrainedModel) -> Iterator[None]:
        """Keep tower outputs that are read until the context ends; they stay afterwards. A tower that learns keeps
        none.

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
        """Return whether the tower must run for these prompts, all of which have images."""
        return not self._is_open or any(id(prompt) not in self._kept for prompt in prompts)

    def features(self, model: PreTrainedModel, prompts: Sequence[Prompt], visions: Sequence[Vision]) -> list[Features]:
        """Return for each prompt the adapted features of its images or tiles, as ``image_features`` does.

        Args:
            model: a vision-language model.
            prompts: prompts, by which kept outputs are found.
            visions: output of the image processor for each prompt; empty without image.
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
        """Return the tower's outputs for images that are not kept, and keep them while there is room."""
        missing = [{} if id(prompt) in self._kept else vision for prompt, vision in zip(prompts, visions, strict=True)]
        read = (image_features if self._has_adapted else unadapted)(model, missing)
        num_kept = len(self._kept)
        for prompt, features in zip(prompts, read, strict=True):
            num_bytes = sum(feature.numel() * feature.element_size() for feature in features)
            if features and num_bytes <= self._free_bytes:
                # Copied, because views would keep the features of the whole batch in memory.
                self._kept[id(prompt)] = prompt, [feature.to("cpu", copy=True) for feature in features]
                self._free_bytes -= num_bytes
        group = [prompt for prompt, vision in zip(prompts, missing, strict=True) if vision and prompt is not BLANK]
        if group and len(self._kept) > num_kept:
            self._groups.append(group)
        return read
