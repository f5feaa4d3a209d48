"""Prompts without their pictures: what stands in their place."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from algorithms import DataError, Prompt
from callbacks.loop.blind_pictures import BlindKind, blind_prompts


class Picture:
    """A picture of one colour, without a file."""

    def __init__(self, color: tuple[int, int, int], size: tuple[int, int] = (42, 28)) -> None:
        self.color, self.size = color, size

    def load(self) -> Image.Image:
        return Image.new("RGB", self.size, self.color)


COLORS = [(10 * n, 200, 50) for n in range(1, 7)]
PROMPTS = [Prompt(uid=n, key=str(n), question="?", images=(Picture(color),)) for n, color in enumerate(COLORS)]


def pixels(prompt: Prompt, number: int = 0) -> np.ndarray:
    return np.asarray(prompt.images[number].load())


def first_colors(prompts: list[Prompt]) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in pixels(prompt)[0, 0]) for prompt in prompts]


@pytest.mark.parametrize("kind", ["blank", "shuffled", "masked"])
def test_only_the_pictures_change_and_they_keep_their_sizes(kind: BlindKind) -> None:
    sizes = [(42, 28), (30, 50), (64, 64)]
    prompts = [replace(p, images=(Picture(c, s),)) for p, c, s in zip(PROMPTS, COLORS, sizes, strict=False)]
    blind = blind_prompts(prompts, kind, seed=1)
    assert [replace(b, images=()) for b in blind] == [replace(p, images=()) for p in prompts]
    assert [b.images[0].load().size for b in blind] == sizes


def test_a_blank_picture_is_one_gray() -> None:
    (blind,) = blind_prompts(PROMPTS[:1], "blank", seed=1)
    assert (pixels(blind) == 128).all()


def test_a_masked_picture_shows_the_rest_of_its_own() -> None:
    (blind,) = blind_prompts(PROMPTS[:1], "masked", seed=1, masked_share=0.5)
    # 3 x 2 patches of 14 pixels, three of them black.
    patches = pixels(blind).reshape(2, 14, 3, 14, 3).transpose(0, 2, 1, 3, 4).reshape(6, -1, 3)
    colors = [tuple(np.unique(patch, axis=0).ravel().tolist()) for patch in patches]
    assert sorted(colors) == [(0, 0, 0)] * 3 + [COLORS[0]] * 3
    other = blind_prompts(PROMPTS[:1], "masked", seed=2, masked_share=0.5)
    everything = blind_prompts(PROMPTS[:1], "masked", seed=1, masked_share=1.0)
    assert (pixels(other[0]) != pixels(blind)).any()
    assert not pixels(everything[0]).any()


def test_a_shuffled_picture_is_that_of_another_prompt() -> None:
    shuffled = first_colors(blind_prompts(PROMPTS, "shuffled", seed=1))
    assert set(shuffled) <= set(COLORS)
    assert all(shown != own for shown, own in zip(shuffled, COLORS, strict=True))
    assert shuffled != first_colors(blind_prompts(PROMPTS, "shuffled", seed=2))
    assert shuffled == first_colors(blind_prompts(PROMPTS, "shuffled", seed=1))


def test_the_same_picture_under_another_name_is_no_other_picture() -> None:
    # Five questions about one picture, as in POPE, where each row embeds it anew; one about another.
    prompts = [replace(PROMPTS[0], images=(Picture(COLORS[0]),)) for _ in range(5)] + [PROMPTS[1]]
    assert first_colors(blind_prompts(prompts, "shuffled", seed=3)) == [COLORS[1]] * 5 + [COLORS[0]]


def test_prompts_that_all_show_one_picture_cannot_be_shuffled() -> None:
    with pytest.raises(DataError, match=r"callbacks\.blind: no other picture .* 2 probes show 1 in all"):
        blind_prompts([PROMPTS[0], PROMPTS[0]], "shuffled", seed=0)


def test_every_picture_of_a_prompt_is_exchanged() -> None:
    two = replace(PROMPTS[0], images=(Picture(COLORS[0]), Picture(COLORS[1])))
    blind = blind_prompts([two, PROMPTS[2]], "shuffled", seed=0)
    assert [tuple(map(int, pixels(blind[0], n)[0, 0])) for n in range(2)] == [COLORS[2]] * 2
