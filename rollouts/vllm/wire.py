"""How policies, weights, requests and completions travel between a training process and a vLLM server.

policy, requests, groups, errors    JSON, bytes and images (PNG) in base64
weights                             one HTTP chunk per tensor: a small safetensors file

Nothing is pickled: reading a pickle runs code, and the port is open to a network. For the same reason all data that a
server reads is checked against types and lists (``guard``) before objects are built from it.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from io import BufferedIOBase, BytesIO
from typing import Any, NoReturn

from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from algorithms import DataError
from rollouts.engine import SamplingConfig
from rollouts.vllm.guard.policy_rules import check_engine_args, check_files
from rollouts.vllm.guard.typed import built
from rollouts.vllm.policy_files import PolicyFiles
from rollouts.vllm.requests import SampledGroup, SampleRequest
from rollouts.vllm.settings import VLLMSettings

SERVER_TAKEN = "another run has taken this server"
"""Error for a request with the session of an earlier run."""

_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,12})\r\n")
_LINE_BYTES = 64


def pack_policy(policy: PolicyFiles, settings: VLLMSettings) -> bytes:
    """Return what a server needs to build the policy."""
    files = {name: base64.b64encode(content).decode() for name, content in policy.files.items()}
    return json.dumps({**policy._asdict(), "files": files, "settings": asdict(settings)}).encode()


def unpack_policy(body: bytes) -> tuple[PolicyFiles, VLLMSettings]:
    """Undo ``pack_policy``.

    Raises:
        ValueError: for data that is no policy, and for files or settings that are not allowed (``DataError``,
            ``ConfigError``).
    """
    fields = _object(body)
    settings = built(VLLMSettings, fields.pop("settings", None))
    check_engine_args(settings.engine_args)
    files = fields.pop("files", None)
    if not isinstance(files, dict):
        raise DataError("a policy must have files.")
    policy = built(PolicyFiles, fields | {"files": {name: _decoded(content) for name, content in files.items()}})
    check_files(policy.files)
    return policy, settings


def pack_requests(requests: Sequence[SampleRequest]) -> bytes:
    """Return requests as JSON."""
    fields = [
        {**r._asdict(), "images": [_png(image) for image in r.images], "sampling": asdict(r.sampling)} for r in requests
    ]
    return json.dumps(fields).encode()


def unpack_requests(body: bytes) -> list[SampleRequest]:
    """Undo ``pack_requests``.

    Raises:
        ValueError: for data that is no list of requests.
    """
    return [_request(fields) for fields in _object(body, of=list)]


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
    """Return class and message in one line; the beginning of the body when another program answered."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"an answer that no vLLM server of this project gives: {body[:80]!r}"


def weight_chunks(weights: Iterable[tuple[str, Tensor]]) -> Iterator[bytes]:
    """Yield one body chunk per tensor."""
    # ``http.client`` sends each of these as one HTTP chunk, so the receiver finds a whole file in every chunk.
    for name, tensor in weights:
        yield save({name: tensor.detach().contiguous().cpu()})


def read_weights(stream: BufferedIOBase, max_bytes: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a chunked HTTP body, one at a time.

    Args:
        stream: where the body begins.
        max_bytes: largest sum of all chunks.

    Raises:
        DataError: when the body ends in the middle, as it does when the sender dies, is larger than ``max_bytes``, or
            is something else.
    """
    # Chunked transfer coding, RFC 9112, section 7.1: size in hexadecimal, line end, content, line end; size 0 is last.
    while size := _chunk_size(stream):
        max_bytes -= size
        # Checked before reading, because the sender may announce any size.
        if max_bytes < 0:
            raise DataError(f"the weights are larger than this server takes, by {-max_bytes} bytes or more.")
        content = stream.read(size)
        if len(content) < size or stream.readline(_LINE_BYTES) != b"\r\n":
            raise DataError("the stream of weights broke off in the middle of a tensor.")
        yield from _tensors(content).items()
    if stream.readline(_LINE_BYTES) != b"\r\n":
        raise DataError("the stream of weights broke off before its end.")


def unpack_tied(header: str) -> dict[str, str]:
    """Return for each further name of a tied tensor the name under which it was sent.

    Raises:
        ValueError: for data that is no object of texts.
    """
    tied = _object(header.encode())
    if not all(isinstance(name, str) for name in tied.values()):
        raise DataError("the header Tied must be an object of names.")
    return tied


def with_tied(weights: Iterable[tuple[str, Tensor]], tied: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors under all of their names; names of tensors that did not come are left out."""
    for name, tensor in weights:
        yield name, tensor
        yield from ((further, tensor) for further, first in tied.items() if first == name)


def unpack_step(body: bytes) -> dict[str, Any]:
    """Return the arguments of a step of vLLM's weight transfer.

    Raises:
        ValueError: for data that is no object.
    """
    return _object(body)


def _tensors(content: bytes) -> dict[str, Tensor]:
    try:
        return load(content)
    except (SafetensorError, KeyError) as error:
        raise DataError(f"a chunk of weights is no safetensors file: {error}") from error


def _chunk_size(stream: BufferedIOBase) -> int:
    line = stream.readline(_LINE_BYTES)
    if not line.endswith(b"\n") and len(line) < _LINE_BYTES:
        raise DataError("the stream of weights broke off before its end.")
    if not (match := _CHUNK_SIZE.fullmatch(line)):
        raise DataError(f"the stream of weights has {line!r} for the size of a chunk.")
    return int(match[1], 16)


def _request(fields: Any) -> SampleRequest:
    if not isinstance(fields, dict) or not isinstance(fields.get("images"), list):
        raise DataError("a request must be an object with prompt_ids, images, sampling, stop_token_ids and seed.")
    images, sampling = [_image(png) for png in fields["images"]], built(SamplingConfig, fields.get("sampling"))
    return built(SampleRequest, {**fields, "images": images, "sampling": sampling})


def _object(body: bytes, of: type = dict) -> Any:
    """Return a JSON value, which must be an object or a list."""
    value = json.loads(body, parse_constant=_refuse_constant)
    if not isinstance(value, of):
        raise DataError(f"the body must be a JSON {of.__name__}, got {type(value).__name__}.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise DataError(f"{name} is no number in JSON.")


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise DataError(f"bytes must come as base64, got {type(text).__name__}.")
    return base64.b64decode(text, validate=True)


def _png(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _image(png: Any) -> Image.Image:
    # Only PNG: other readers of PIL would be exposed to any data that a client sends.
    return Image.open(BytesIO(_decoded(png)), formats=["PNG"]).convert("RGB")
