"""LoRA merged by peft itself, to compare the streamed weights with."""

from collections.abc import Iterator
from contextlib import contextmanager

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from models import lora_apart


@contextmanager
def lora_merged(model: nn.Module) -> Iterator[None]:
    """Add LoRA updates to their weights, and put plain layers in the place of LoRA layers, until the context ends."""
    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    before = [layer.get_base_layer().weight.data.clone() for layer in layers]
    for layer in layers:
        layer.merge()
    with lora_apart(model):
        yield
    for layer, weight in zip(layers, before, strict=True):
        layer.unmerge()
        layer.get_base_layer().weight.data = weight
