"""How policies, weights, requests and completions travel between a training process and a vLLM server.

policy, requests, groups, errors    JSON, bytes and images (PNG) in base64
weights                             one HTTP chunk per tensor: a small safetensors file

Nothing is pickled: reading a pickle runs code, and the port is open to a network.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from io import BufferedIOBase, BytesIO

from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from algorithms import DataError
from rollouts.engine import SamplingConfig
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import VLLMSettings

SERVER_TAKEN = "another run has taken this server"
"""The error of a request whose session is no longer that of the server."""


def pack_policy(policy: PolicyFiles, settings: VLLMSettings) -> bytes:
    """Return what a server needs to build the policy."""
    files = {name: base64.b64encode(content).decode() for name, content in policy.files.items()}
    return json.dumps({**policy._asdict(), "files": files, "settings": asdict(settings)}).encode()


def unpack_policy(body: bytes) -> tuple[PolicyFiles, VLLMSettings]:
    """Undo ``pack_policy``.

    Raises:
        DataError: for a file name that leads out of the policy's folder.
    """
    fields = json.loads(body)
    settings = VLLMSettings(**fields.pop("settings"))
    files = {name: base64.b64decode(content) for name, content in fields.pop("files").items()}
    # The server writes these files to its disk.
    if unsafe := [name for name in files if "/" in name or name.startswith(".")]:
        raise DataError(f"a policy's files must be plain names, got {unsafe[0]!r}.")
    return PolicyFiles(files=files, **fields), settings


def pack_requests(requests: Sequence[SampleRequest]) -> bytes:
    """Return requests as JSON."""
    fields = [
        {**r._asdict(), "images": [_png(image) for image in r.images], "sampling": asdict(r.sampling)} for r in requests
    ]
    return json.dumps(fields).encode()


def unpack_requests(body: bytes) -> list[SampleRequest]:
    """Undo ``pack_requests``."""
    return [
        SampleRequest(
            **{**r, "images": [_image(png) for png in r["images"]], "sampling": SamplingConfig(**r["sampling"])}
        )
        for r in json.loads(body)
    ]


def pack_groups(groups: Sequence[SampledGroup]) -> bytes:
    """Return sampled groups as JSON; log-probabilities keep all their digits."""
    # A named tuple becomes a list. Python writes the shortest digits that give the same float back.
    return json.dumps(groups).encode()


def unpack_groups(body: bytes) -> list[SampledGroup]:
    """Undo ``pack_groups``."""
    return [SampledGroup(*fields) for fields in json.loads(body)]


def pack_error(error: BaseException) -> bytes:
    """Return the class and the message of an error as JSON."""
    return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()


def unpack_error(body: bytes) -> str:
    """Return class and message in one line."""
    return json.loads(body)["error"]


def weight_chunks(weights: Iterable[tuple[str, Tensor]]) -> Iterator[bytes]:
    """Yield one body chunk per tensor."""
    # ``http.client`` sends each of these as one HTTP chunk, so the receiver finds a whole file in every chunk.
    for name, tensor in weights:
        yield save({name: tensor.detach().contiguous().cpu()})


def read_weights(stream: BufferedIOBase) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a chunked HTTP body, one at a time.

    Raises:
        DataError: when the body ends in the middle, as it does when the sender dies.
    """
    # Chunked transfer coding, RFC 9112, section 7.1: size in hexadecimal, line end, content, line end; size 0 is last.
    while size := _chunk_size(stream):
        content = stream.read(size)
        if len(content) < size or stream.readline() != b"\r\n":
            raise DataError("the stream of weights broke off in the middle of a tensor.")
        yield from load(content).items()
    stream.readline()


def _chunk_size(stream: BufferedIOBase) -> int:
    line = stream.readline()
    if not line:
        raise DataError("the stream of weights broke off before its end.")
    return int(line, 16)


def _png(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _image(png: str) -> Image.Image:
    # Only this format: PIL's other readers would be open to whatever a client sends.
    return Image.open(BytesIO(base64.b64decode(png)), formats=["PNG"]).convert("RGB")
