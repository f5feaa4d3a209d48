"""Computes from shapes how much GPU memory training takes. No number here is measured.

    per GPU = (weights + gradients + optimizer) / shards + gathered blocks + activations + reserve

All in bytes, decimal GB (1e9). N parameters, L of them learning, R GPUs, T tokens of a micro-batch on one GPU.
"""

from dataclasses import dataclass
from typing import Literal

from experiments.model_shapes import Shapes

GB = 1e9
CARD = 80 * GB
Learns = Literal["adapter", "lora", "adapter + language model"]

# CUDA context, gaps of the allocator, communication buffers, one chunk of logits: an estimate, not a measurement.
RESERVE = 8 * GB


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Bytes per parameter."""

    name: str
    weight: int
    """Of what learns."""

    frozen: int
    gradient: int
    adam: int
    """Both moments."""

    gathered: int
    """Of a gathered block under FSDP, in the precision of the computation."""


# precision: bf16-mixed over frozen parts in bfloat16; and float32 shards computed with in bfloat16
# (MixedPrecisionPolicy).
MIXED = Precision(name="bf16-mixed, frozen bf16", weight=4, frozen=2, gradient=4, adam=8, gathered=2)
FLOAT32_SHARDS = Precision(name="float32 shards, bf16 compute", weight=4, frozen=4, gradient=4, adam=8, gathered=2)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on one GPU."""

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    activations: float

    @property
    def total(self) -> float:
        """All of it, with the reserve."""
        return self.weights + self.gradients + self.optimizer + self.gathered + self.activations + RESERVE

    @property
    def fits(self) -> bool:
        """Whether a card of 80 GB is enough."""
        return self.total <= CARD


def learning(shapes: Shapes, learns: Learns, *, lora_rank: int = 64) -> int:
    """Return L: parameters with gradient and optimizer state, those that LoRA adds included."""
    if learns == "lora":
        return lora_rank * shapes.lora_widths
    return shapes.adapter + (shapes.language_model if learns == "adapter + language model" else 0)


def kv_cache_per_token(shapes: Shapes, *, bytes_per_value: int = 2) -> int:
    """Return bytes of the key-value cache per token: keys and values of every layer."""
    return 2 * shapes.num_layers * shapes.key_value_width * bytes_per_value


def checkpointed_activations(shapes: Shapes, num_tokens: int, *, bytes_per_value: int = 2) -> int:
    """Return bytes kept for the backward of the language model when every layer is checkpointed.

    Each layer keeps its input (hidden); while one layer is recomputed it holds the inputs and outputs of its two norms
    (4 hidden), queries and attention output (2 hidden), keys and values (2 key_value_width), and gate, up, activated
    gate and product (4 intermediate). Attention scores are never whole (fused kernels). After arXiv:2205.05198,
    section 4, with a gated MLP and shared keys. A frozen tower keeps nothing.
    """
    kept = shapes.num_layers * shapes.hidden
    recomputed = 6 * shapes.hidden + 2 * shapes.key_value_width + 4 * shapes.intermediate
    return num_tokens * bytes_per_value * (kept + recomputed)


def training_memory(
    shapes: Shapes, learns: Learns, precision: Precision, *, num_gpus: int, is_sharded: bool, num_tokens: int
) -> Memory:
    """Return what one GPU holds at the peak of a step.

    Args:
        shapes: the model.
        learns: which parts have gradients.
        precision: bytes per parameter.
        num_gpus: R.
        is_sharded: FSDP2 over all R; else DDP, where each GPU has everything.
        num_tokens: T, padding included.
    """
    num_learning = learning(shapes, learns)
    num_frozen = shapes.total - (0 if learns == "lora" else num_learning)
    shards = num_gpus if is_sharded else 1
    # One block computes while the next is fetched; the root group stays.
    gathered = precision.gathered * (2 * shapes.largest_block + shapes.root) if is_sharded else 0
    return Memory(
        weights=(precision.weight * num_learning + precision.frozen * num_frozen) / shards,
        # DDP sums gradients in buckets, a second copy of them.
        gradients=precision.gradient * num_learning / shards * (1 if is_sharded else 2),
        optimizer=precision.adam * num_learning / shards,
        gathered=gathered,
        activations=checkpointed_activations(shapes, num_tokens),
    )
