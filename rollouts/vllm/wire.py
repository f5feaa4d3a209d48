"""How policies, weights, requests and completions travel between a training process and a vLLM server.

policy, requests, groups    JSON, bytes and images (PNG) in base64
weights                     one HTTP chunk per tensor: a small safetensors file; no pickle anywhere
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from algorithms import DataError
from rollouts.vllm.settings import PolicyFiles, Sample, SampledGroup, SampleRequest, VLLMSettings


def pack_policy(policy: PolicyFiles, settings: VLLMSettings) -> bytes:
    """Return what a server needs to build the policy."""
    files = {name: base64.b64encode(content).decode() for name, content in policy.files.items()}
    return json.dumps({**policy._asdict(), "files": files, "settings": asdict(settings)}).encode()


def unpack_policy(body: bytes) -> tuple[PolicyFiles, VLLMSettings]:
    """Undo ``pack_policy``."""
    told = json.loads(body)
    files = {name: base64.b64decode(content) for name, content in told["files"].items()}
    if unsafe := [name for name in files if "/" in name or name.startswith(".")]:
        raise DataError(f"a policy's files must be plain names, got {unsafe[0]!r}.")
    return PolicyFiles(files, told["banned_token_ids"], told["dtype"], told["max_positions"]), VLLMSettings(
        **told["settings"]
    )


def pack_requests(requests: Sequence[SampleRequest]) -> bytes:
    """Return requests as JSON."""
    return json.dumps([{**r._asdict(), "images": [_png(image) for image in r.images]} for r in requests]).encode()


def unpack_requests(body: bytes) -> list[SampleRequest]:
    """Undo ``pack_requests``."""
    return [SampleRequest(**{**r, "images": [_image(png) for png in r["images"]]}) for r in json.loads(body)]


def pack_groups(groups: Sequence[SampledGroup]) -> bytes:
    """Return sampled groups as JSON; log-probabilities keep all their digits."""
    return json.dumps(groups).encode()


def unpack_groups(body: bytes) -> list[SampledGroup]:
    """Undo ``pack_groups``."""
    return [SampledGroup(ids, [Sample(*sample) for sample in samples]) for ids, samples in json.loads(body)]


def weight_chunks(weights: Iterable[tuple[str, Tensor]]) -> Iterator[bytes]:
    """Yield one body chunk per tensor."""
    for name, tensor in weights:
        yield save({name: tensor.detach().contiguous().cpu()})


def read_weights(stream: BinaryIO) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a chunked HTTP body, one at a time.

    Raises:
        DataError: when the body ends in the middle, as it does when the sender dies.
    """
    while size := _chunk_size(stream):
        content = stream.read(size)
        if len(content) < size or stream.readline() != b"\r\n":
            raise DataError("the stream of weights broke off in the middle of a tensor.")
        yield from load(content).items()
    stream.readline()


def _chunk_size(stream: BinaryIO) -> int:
    line = stream.readline()
    if not line:
        raise DataError("the stream of weights broke off before its end.")
    return int(line, 16)


def _png(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _image(png: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(png)), formats=["PNG"]).convert("RGB")


def describe(error: BaseException) -> bytes:
    """Return an error as a server tells it."""
    told: dict[str, Any] = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(told).encode()
