"""Which texts say that their writer cannot see the image."""

import re
import time

import pytest

from hallucination.blindness import BLINDNESS_PATTERN, claims_blindness

BLIND = """I cannot see the image, so I'll assume a triangle.
Since I can't actually see the picture, I must guess.
I can\u2019t see the image.
I'm unable to view the attached image.
As I am not able to directly see the diagram, let me think.
Without seeing the actual figure, it is hard.
Without being able to see the image, I will rely on the text.
I don't have access to the image.
As an AI, I do not have direct access to the image
However, I don't have the actual image here.
We lack access to the diagram.
No image was provided, so
no picture is available
The image is not visible to me.
The figure isn't provided here.
the image wasn't actually provided
The figure has not been given
Without the image, I need to infer
as a text-based model, I can only guess
I can't visualize the graph directly.
Unfortunately, I couldn't open the image.
但是我无法看到图片。
由于没有提供图片""".splitlines()
SEEING = """I cannot see the bottom of the figure.
In the image, I can see a cat.
We cannot see the figure's left edge.
The man can't see the picture on the wall.
The image shows a dog; no cat is visible.
The picture is not large.
The driver cannot see the pedestrian.
The value is not shown in the figure.
The image is not blurry.
I can see the image clearly.
The cat is not visible in the image.
look red : red-circle red-square = 2 </think> Answer: \\boxed{ 2 }
We can not conclude from the image.
The graph is not linear.
The label is missing in the image.
图片中没有猫""".splitlines()


@pytest.mark.parametrize("text", BLIND)
def test_statements_of_blindness_are_found(text: str) -> None:
    assert claims_blindness(text)


@pytest.mark.parametrize("text", SEEING)
def test_statements_about_what_the_image_shows_are_not(text: str) -> None:
    assert not claims_blindness(text)


def test_every_place_is_found_in_a_long_text() -> None:
    text = "Let me think.\nI cannot see the image. So 3 + 4 = 7. But WITHOUT THE PICTURE I guess."
    found = [match.group() for match in re.finditer(BLINDNESS_PATTERN, text, re.IGNORECASE)]
    assert found == ["cannot see the image", "WITHOUT THE PICTURE"]


def test_a_long_text_is_read_quickly() -> None:
    text = "I cannot see the the the without actually really being able to not not have the " * 2000
    start = time.perf_counter()
    assert not claims_blindness(text)
    assert time.perf_counter() - start < 2.0
