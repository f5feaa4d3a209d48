"""Digests of everything that log-probabilities depend on: a policy's weights, a pair's texts and images.

A cache of log-probabilities is valid for one policy and one list of pairs. The file name contains both digests, so a
change of policy or pairs makes a new file.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algorithms import ImageReference, PreferencePair
from algorithms.records import FileReference
from models import Policy, lora_apart, stream_weights


def policy_fingerprint(policy: Policy) -> str:
    """Return the digest of a policy's weights, without LoRA, and of its tokenizer and image processor.

    The digest covers the sum and about 64 evenly spaced numbers of each tensor, because hashing 38B parameters is slow.
    Sharded weights are gathered tensor by tensor, in a collective call.
    """
    entries: list[Any] = []
    # A fresh LoRA layer adds zero, so pi_0 is the policy without it.
    with lora_apart(policy.model):
        for name, tensor in stream_weights(policy.model):
            flat = tensor.flatten()
            sample = flat[:: max(1, flat.numel() // 64)].tolist()
            # The sum covers the numbers between the sampled ones. In 64 bits, because rounding would hide small
            # changes.
            entries.append([name, list(tensor.shape), sample, flat.double().sum().item()])
    encoder = policy.encoder
    # The processor of a policy without vision is its tokenizer, which has no image processor.
    images = getattr(encoder.processor, "image_processor", None)
    entries += [encoder.tokenizer.chat_template, len(encoder.tokenizer), images.to_json_string() if images else None]
    return digest(entries)


def pair_fingerprint(pair: PreferencePair) -> str:
    """Return the digest of everything in a pair that its log-probabilities depend on."""
    prompt = pair.prompt
    images = [_image_entries(image) for image in prompt.images]
    return digest(
        [prompt.system, prompt.question, prompt.prefill, pair.chosen, pair.rejected, pair.rejected_ended, images]
    )


def digest(entries: Sequence[Any]) -> str:
    """Return 32 hexadecimal digits for values that JSON can hold."""
    return hashlib.blake2b(json.dumps(entries).encode(), digest_size=16).hexdigest()


def _image_entries(image: ImageReference) -> list[Any]:
    """Return a reference as text and, for a file, its size and time of change."""
    # An image that is drawn anew has the same file name, so size and time must show the change.
    if isinstance(image, FileReference) and isinstance(image.path, Path):
        stat = image.path.stat()
        return [repr(image), stat.st_size, stat.st_mtime_ns]
    return [repr(image)]
