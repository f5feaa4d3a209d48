"""``make memory-table``: parameters by part and memory per GPU of models that do not fit here, from their shapes.

Prints the tables of docs/scaling.md. Computed, not measured.
"""

from collections.abc import Iterator, Sequence

from experiments.memory import (
    FLOAT32_SHARDS,
    GB,
    MIXED,
    Learns,
    Memory,
    kv_cache_per_token,
    learning,
    training_memory,
)
from experiments.model_shapes import Shapes, published

# 13 tiles of an image (12 and a thumbnail) x 256 tokens, 512 tokens of text, 8192 of completion.
NUM_TOKENS = 13 * 256 + 512 + 8192
LEARNS: tuple[Learns, ...] = ("adapter", "lora", "adapter + language model")
PLACES = (("DDP", MIXED, 8, False), ("FSDP2 x 8", FLOAT32_SHARDS, 8, True), ("FSDP2 x 16", FLOAT32_SHARDS, 16, True))


def parameter_rows(models: Sequence[Shapes]) -> Iterator[Sequence[str]]:
    """Yield parameters by part, in billions, bytes of weights, and of the key-value cache per token and completion."""
    yield "model", "vision tower", "adapter", "language model", "total", "bf16 weights", "cache: token", "completion"
    for shapes in models:
        counts = (shapes.vision_tower, shapes.adapter, shapes.language_model, shapes.total)
        yield (
            shapes.name,
            *(f"{count / 1e9:.3f}B" for count in counts),
            f"{2 * shapes.total / GB:.1f} GB",
            f"{kv_cache_per_token(shapes) / 1024:.0f} KiB",
            f"{kv_cache_per_token(shapes) * NUM_TOKENS / GB:.1f} GB",
        )


def memory_rows(models: Sequence[Shapes]) -> Iterator[Sequence[str]]:
    """Yield memory per GPU in GB for every setup of training."""
    yield (
        "model", "learns", "learning", "strategy", "weights", "gradients", "AdamW", "gathered", "activations", "total",
        "80 GB",
    )  # fmt: skip
    for shapes in models:
        for learns in LEARNS:
            for place, precision, num_gpus, is_sharded in PLACES:
                memory = training_memory(
                    shapes, learns, precision, num_gpus=num_gpus, is_sharded=is_sharded, num_tokens=NUM_TOKENS
                )
                yield (
                    shapes.name, learns, f"{learning(shapes, learns) / 1e6:,.0f}M", place, *_gigabytes(memory),
                    "fits" if memory.fits else "no",
                )  # fmt: skip


def markdown(rows: Iterator[Sequence[str]]) -> str:
    """Return rows, the first of them the header, as a table."""
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gigabytes(memory: Memory) -> list[str]:
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.gathered, memory.activations, memory.total)
    return [f"{part / GB:.1f}" for part in parts]


def main() -> None:
    """Print both tables."""
    models = published()
    print(markdown(parameter_rows(models)))  # noqa: T201
    print()  # noqa: T201
    print(markdown(memory_rows(models)))  # noqa: T201


if __name__ == "__main__":
    main()
