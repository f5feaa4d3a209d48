import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
from PIL import Image

from algorithms import Prompt
from datamodules.shapes.language import WORDS
from models import Policy
from models.assembly import assemble
from models.assembly.tiny import fresh_language_model, fresh_vision_tower, word_tokenizer
from storage import notes


def long(*values: Any, name: str | None = None) -> Any:
    """Return a case of a parametrised test that is left to ``make test-long``."""
    return pytest.param(*values, marks=pytest.mark.long, id=name)


@pytest.fixture(autouse=True, scope="session")
def _two_threads_in_all() -> None:
    # Two processes of one thread each where the suite is spread over two. One also where the user asks for it: threads
    # that wait for each other on busy cores take ten times as long.
    asked = int(os.environ.get("OMP_NUM_THREADS", "2"))
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, asked))


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    # A shell's background jobs ignore Ctrl-C from their start, and so do the commands that tests would interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _notes_on_data_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notes, "NOTES", tmp_path_factory.mktemp("notes"))
        yield


@pytest.fixture(autouse=True)
def _modules_of_a_test_are_forgotten() -> Iterator[None]:
    path = list(sys.path)
    yield
    # A command adds the folder where it runs. Several tests write a file of this name, which others want missing.
    sys.path[:] = path
    sys.modules.pop("my_module", None)


class Picture:
    """An image reference that needs no file."""

    def __init__(self, color: tuple[int, int, int]) -> None:
        self.color = color

    def load(self) -> Image.Image:
        return Image.new("RGB", (48, 48), self.color)


@pytest.fixture
def prompts() -> list[Prompt]:
    """Three prompts of different lengths, the first two with the same text."""
    colors = [(255, 0, 0), (0, 0, 255), (0, 255, 0)]
    questions = ["how many red ?", "how many red ?", "how many more red than blue ?"]
    return [
        Prompt(uid=i, key=str(i), question=question, images=(Picture(color),), answer=str(i))
        for i, (question, color) in enumerate(zip(questions, colors, strict=True))
    ]


@pytest.fixture
def policy() -> Policy:
    return sharp_policy()


def sharp_policy() -> Policy:
    """A small LLaVA with sharp random weights: with default ones every image would give the same answer."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(WORDS)
    tower, image_processor = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    language_model = fresh_language_model(
        len(tokenizer), hidden_size=64, num_layers=2, eos=tokenizer.eos_token_id, pad=tokenizer.pad_token_id
    )
    model, processor = assemble(tower, image_processor, language_model, tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
    return Policy(model, processor)


@pytest.fixture
def qwen_vl_policy() -> Policy:
    """A small Qwen2.5-VL, which places image tokens on a grid."""
    from tests.models.families import family

    return family("qwen2_5_vl")
