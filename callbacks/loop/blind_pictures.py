"""Takes the pictures away from prompts, so that the policy can only guess.

    blank       one gray of the same size
    shuffled    the picture of another prompt, in the size of its own
    masked      its own, with a share of its square patches black (as PAPO masks, arXiv:2507.06448: patches of 14, 60 %)

Every picture keeps its size, so a prompt keeps its number of image tokens. Every draw depends on the seed and on the
prompt's position only.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from PIL import Image

from algorithms import DataError, ImageReference, Prompt
from algorithms.chance import position_generator, position_seed

BlindKind = Literal["blank", "shuffled", "masked"]
BLIND_KINDS: tuple[BlindKind, ...] = ("blank", "shuffled", "masked")
_GRAY = (128, 128, 128)
_PATCH = 14  # pixels


@dataclass(frozen=True, slots=True)
class BlankPicture:
    """A gray picture in the size of another."""

    original: ImageReference

    def load(self) -> Image.Image:
        """Return the gray picture."""
        return Image.new("RGB", self.original.load().size, _GRAY)


@dataclass(frozen=True, slots=True)
class OtherPicture:
    """Another picture, stretched to the size of the original one."""

    original: ImageReference
    other: ImageReference

    def load(self) -> Image.Image:
        """Return the other picture, stretched to the size of the original."""
        size = self.original.load().size
        other: Image.Image = self.other.load()
        return other if other.size == size else other.resize(size, Image.Resampling.BICUBIC)


@dataclass(frozen=True, slots=True)
class MaskedPicture:
    """A picture with some black patches."""

    original: ImageReference
    seed: int
    share: float
    """Share of black patches, in (0, 1]; their number is rounded up."""

    def load(self) -> Image.Image:
        """Return the masked picture."""
        picture: Image.Image = self.original.load().copy()
        columns, rows = (-(-side // _PATCH) for side in picture.size)
        order = torch.randperm(columns * rows, generator=torch.Generator().manual_seed(self.seed))
        # Patches at the right and the lower edge may be smaller.
        for place in order[: math.ceil(columns * rows * self.share)].tolist():
            x, y = place % columns * _PATCH, place // columns * _PATCH
            picture.paste((0, 0, 0), (x, y, min(x + _PATCH, picture.width), min(y + _PATCH, picture.height)))
        return picture


def blind_prompts(prompts: Sequence[Prompt], kind: BlindKind, *, seed: int, masked_share: float = 0.6) -> list[Prompt]:
    """Return the same prompts without their pictures.

    Args:
        prompts: prompts with pictures, the same on all ranks, so that shuffling does not depend on the ranks.
        kind: what replaces the pictures.
        seed: seed of the draws.
        masked_share: share of the patches of a picture that are masked.

    Raises:
        DataError: when the kind is ``shuffled`` and all prompts have the same picture.
    """
    if kind == "shuffled":
        return _shuffled(prompts, seed)

    def blind(picture: ImageReference, position: int, number: int) -> ImageReference:
        if kind == "blank":
            return BlankPicture(picture)
        return MaskedPicture(picture, position_seed(seed, "blind/masked", position, number), masked_share)

    return [
        replace(prompt, images=tuple(blind(image, position, number) for number, image in enumerate(prompt.images)))
        for position, prompt in enumerate(prompts)
    ]


def _shuffled(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    # Pictures are compared by content: several rows may embed the same picture, which is then no other picture.
    prints = [[_print(image.load()) for image in prompt.images] for prompt in prompts]
    # One reference for each different picture, in the order of the prompts.
    pictures: dict[bytes, ImageReference] = {}
    for own, prompt in zip(prints, prompts, strict=True):
        for print_, image in zip(own, prompt.images, strict=True):
            pictures.setdefault(print_, image)
    found: list[Prompt] = []
    for position, (prompt, own) in enumerate(zip(prompts, prints, strict=True)):
        others = [image for print_, image in pictures.items() if print_ not in own]
        if not others:
            raise DataError(
                f"callbacks.blind: no other picture can stand in the place of those of {prompt.key}: {len(prompts)} "
                f"probes show {len(pictures)} in all. Raise num_probes, or leave 'shuffled' out of kinds."
            )
        generator = position_generator(seed, "blind/shuffled", position)
        drawn = torch.randint(len(others), (len(own),), generator=generator).tolist()
        images = [OtherPicture(image, others[index]) for image, index in zip(prompt.images, drawn, strict=True)]
        found.append(replace(prompt, images=tuple(images)))
    return found


def _print(picture: Any) -> bytes:
    return hashlib.blake2b(repr(picture.size).encode() + picture.tobytes(), digest_size=16).digest()
