"""The chain's export says through vLLM's OpenAI endpoint what it says under transformers alone, pictures included."""

import base64
import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from cli.app import run
from datamodules import MosaicFolder
from datamodules.photographs.collection import CollectionName
from evaluation.config import ServerConfig
from evaluation.serving.server import Address, VLLMServer, check_vllm
from experiments.real import stages
from tests.experiments.conftest import collection_flags

pytestmark = pytest.mark.served

MAX_TOKENS = 32
# In 32 bits on both sides; what is compared are sums in another order. Log-probabilities, in nats.
TOLERANCE = 1e-3
TRANSFORMERS = Path(__file__).with_name("plain_transformers.py")
# Steps, and rows of each: enough that what is said depends on the picture.
TOWER_LESSONS, LESSONS = (16, 32), (6, 4)

Conversation = list[dict[str, Any]]


@dataclass(frozen=True)
class Served:
    """One completion of vLLM's endpoint."""

    ids: Sequence[int]
    logps: Sequence[float]
    text: str
    finish_reason: str


@dataclass(frozen=True)
class Answered:
    """A conversation, and what both made of it."""

    name: str
    served: Served
    ids: Sequence[int]
    logps: Tensor
    """(T, V), of transformers."""


@pytest.fixture(scope="module")
def vllm_config() -> ServerConfig:
    flags = {
        "dtype": "float32", "max-model-len": 512, "model-impl": "transformers", "enforce-eager": True,
        "kv-cache-memory-bytes": 256 << 20, "block-size": 32, "limit-mm-per-prompt": {"image": 2},
    }  # fmt: skip
    config = ServerConfig(python=os.environ.get("VLLM_PYTHON"), flags=flags, max_restarts=0)
    check_vllm(config)
    return config


@pytest.fixture(scope="module")
def pictures(collection: CollectionName, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Image.Image]]:
    """Questions with mosaics of photographs that no training shows: four of 2 x 2 and four of 3 x 3."""
    source = MosaicFolder(collection, num_train=1, num_val=1, num_test=48, root=str(tmp_path_factory.mktemp("data")))
    source.prepare()
    prompts = source.read("test", max_image_pixels=10**6).prompts
    return [
        (prompt.question, prompt.images[0].load())
        for side in (2, 3)
        for prompt in [prompt for prompt in prompts if prompt.columns["side"] == side][:4]
    ]


@pytest.fixture(scope="module")
def export(vllm_config: ServerConfig, collection: CollectionName, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain's first stages, shortened: a tower, and SmolLM2 aligned with it."""
    folder = tmp_path_factory.mktemp("chain")
    for name in list(stages.STAGES)[: list(stages.STAGES).index("align") + 1]:
        steps, batch = TOWER_LESSONS if name == "tower" else LESSONS
        flags = [
            f"--trainer.max_steps={steps}", "--trainer.limit_val_batches=0",
            f"--data.init_args.source.init_args.num_train={steps * batch}",
            f"--data.init_args.source.init_args.root={folder}", f"--data.init_args.reading.batch_size={batch}",
            f"--trainer.logger.init_args.save_dir={folder}", *stages.QUIET, *collection_flags(name, collection),
        ]  # fmt: skip
        run(stages.arguments(name, 0, folder, flags))
    return folder / "align"


@pytest.fixture(scope="module")
def endpoint(export: Path, vllm_config: ServerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    server = VLLMServer(export, "real", vllm_config, tmp_path_factory.mktemp("server") / "server.log")
    try:
        yield server.address()
    finally:
        server.stop()


def conversation(text: str, *shown: Image.Image) -> Conversation:
    """One turn, with its pictures before its text."""
    parts: list[dict[str, Any]] = []
    for picture in shown:
        packed = io.BytesIO()
        picture.save(packed, format="PNG")
        url = f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def conversations(pictures: list[tuple[str, Image.Image]]) -> dict[str, Conversation]:
    """Every mosaic with its own question; one question about several; other sizes; two pictures; none."""
    listing = "List what is in the picture."
    small, large = pictures[0][1], pictures[-1][1]
    both = "What do the two pictures show?"
    return {
        **{f"mosaic {number}": conversation(text, shown) for number, (text, shown) in enumerate(pictures)},
        **{f"listing {number}": conversation(listing, shown) for number, (_, shown) in enumerate(pictures[2:6])},
        "enlarged": conversation(listing, large.resize((300, 300))),
        "wide": conversation(listing, large.resize((200, 50))),
        "two pictures": conversation(both, small, large),
        "two pictures, the other way round": conversation(both, large, small),
        "no picture": conversation("What is the capital of France?"),
        "no picture, a sum": conversation("What is 2 + 3?"),
    }


def ask(address: Address, messages: Conversation) -> Served:
    body = {
        "model": address.model, "messages": messages, "temperature": 0.0, "max_tokens": MAX_TOKENS, "logprobs": True,
        "return_tokens_as_token_ids": True,
    }  # fmt: skip
    request = urllib.request.Request(
        f"{address.url}/chat/completions", data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {address.key}"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=300) as answer:
        choice = json.load(answer)["choices"][0]
    tokens = choice["logprobs"]["content"]
    return Served(
        [int(token["token"].removeprefix("token_id:")) for token in tokens],
        [token["logprob"] for token in tokens], choice["message"]["content"], choice["finish_reason"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def answered(
    export: Path, endpoint: Address, pictures: list[tuple[str, Image.Image]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answered]:
    asked = conversations(pictures)
    served = {name: ask(endpoint, messages) for name, messages in asked.items()}
    folder = tmp_path_factory.mktemp("transformers")
    given, said = folder / "asked.json", folder / "said.pt"
    given.write_text(json.dumps(list(asked.values())))
    # A folder without this project in it, so that nothing of it can be imported.
    command = [sys.executable, "-I", str(TRANSFORMERS), str(export), str(MAX_TOKENS), str(given), str(said)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    own = torch.load(said)
    return {name: Answered(name, served[name], **each) for name, each in zip(asked, own, strict=True)}


def compare(answered: Answered) -> tuple[int, float, bool]:
    """Return how many tokens are the same, the largest difference of their log-probabilities, and whether all are.

    Raises:
        AssertionError: vLLM chose a token that transformers finds less likely than its own, by more than rounding.
    """
    served, largest = answered.served, 0.0
    for step, (theirs, logp, own) in enumerate(zip(served.ids, served.logps, answered.ids, strict=False)):
        largest = max(largest, abs(logp - float(answered.logps[step, theirs])))
        if theirs != own:
            gap = float(answered.logps[step, own] - answered.logps[step, theirs])
            assert gap <= 2 * TOLERANCE, (
                f"{answered.name}: token {step} is {theirs} and not {own}, less likely by {gap}"
            )
            # What follows another token is another completion.
            return step, largest, False
    assert len(served.ids) == len(answered.ids), f"{answered.name}: {len(served.ids)} tokens and {len(answered.ids)}"
    return len(served.ids), largest, True


def test_every_greedy_completion_is_that_of_transformers(answered: dict[str, Answered], told: list[str]) -> None:
    compared = [compare(each) for each in answered.values()]
    largest = max(difference for _, difference, _ in compared)
    told.append(
        f"served: {sum(same for *_, same in compared)} of {len(compared)} greedy completions equal token by token, "
        f"{sum(number for number, *_ in compared)} tokens, log-probabilities within {largest:.1e}"
    )
    assert largest <= TOLERANCE
    # Ties by rounding are rare; were they many, little would be compared.
    assert sum(same for *_, same in compared) >= len(compared) - 2


def test_what_is_served_depends_on_the_picture(answered: dict[str, Answered]) -> None:
    firsts = [answered[f"listing {number}"].served.logps[:4] for number in range(4)]
    assert len(set(map(tuple, firsts))) == 4
    ways = [answered[name].served for name in ("two pictures", "two pictures, the other way round")]
    assert max(abs(a - b) for a, b in zip(ways[0].logps, ways[1].logps, strict=False)) > 20 * TOLERANCE


def test_without_a_picture_the_language_model_answers_as_before(answered: dict[str, Answered]) -> None:
    assert "Paris" in answered["no picture"].served.text
