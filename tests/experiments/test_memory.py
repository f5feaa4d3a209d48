"""Memory arithmetic against closed forms, and shapes against published sizes."""

from pathlib import Path

import pytest

from experiments.memory import (
    FLOAT32_SHARDS,
    MIXED,
    RESERVE,
    checkpointed_activations,
    kv_cache_per_token,
    learning,
    training_memory,
)
from experiments.memory_table import markdown, memory_rows, parameter_rows
from experiments.model_shapes import Shapes, published

SMALL = Shapes(
    name="small", vision_tower=100, adapter=20, language_model=1000, largest_block=200, root=50, lora_widths=30,
    num_layers=2, hidden=10, intermediate=40, key_value_width=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def models() -> dict[str, Shapes]:
    return {shapes.name: shapes for shapes in published()}


def test_sizes_are_the_published_ones(models: dict[str, Shapes]) -> None:
    assembled = models["InternViT-6B + QwQ-32B"]
    # 64 layers: queries, keys, values with bias; output; gate, up, down; two norms. Embeddings, head, final norm.
    layer = (5120 * 5120 + 5120) + 2 * (5120 * 1024 + 1024) + 5120 * 5120 + 3 * 5120 * 27648 + 2 * 5120
    assert assembled.language_model == 64 * layer + 2 * 152064 * 5120 + 5120 == 32_763_876_352  # "32.8B"
    # LayerNorm, two linear layers with bias.
    assert assembled.adapter == 2 * 12800 + (12800 * 5120 + 5120) + (5120 * 5120 + 5120)
    # InternVL's card: 5540M for 45 layers; theirs counts no class token and positions.
    assert assembled.vision_tower == pytest.approx(5.54e9, rel=1e-3)
    # The totals that the hub shows for Qwen2.5-VL-7B-Instruct and -3B-Instruct.
    assert models["Qwen2.5-VL-7B"].total == 8_292_166_656
    assert models["Qwen2.5-VL-3B"].total == 3_754_622_976


def test_blocks_and_root_are_the_whole_model(models: dict[str, Shapes]) -> None:
    shapes = models["InternViT-6B + QwQ-32B"]
    vision_block = (shapes.vision_tower - 3200 * (3 * 14 * 14 + 1) - 3200 * (1 + 32 * 32 + 1)) // 45
    assert shapes.root + 64 * shapes.largest_block + 45 * vision_block == shapes.total


def test_lora_has_rank_times_inputs_and_outputs(models: dict[str, Shapes]) -> None:
    widths = 2 * (5120 + 5120) + 2 * (5120 + 1024) + 3 * (5120 + 27648)
    assert learning(models["InternViT-6B + QwQ-32B"], "lora", lora_rank=16) == 16 * 64 * widths


def test_a_cached_token_has_keys_and_values_in_every_layer(models: dict[str, Shapes]) -> None:
    assert kv_cache_per_token(models["InternViT-6B + QwQ-32B"]) == 2 * 64 * 8 * 128 * 2 == 256 * 1024
    assert kv_cache_per_token(SMALL, bytes_per_value=1) == 2 * 2 * 5


def test_checkpointed_layers_keep_their_input_and_one_is_whole() -> None:
    assert checkpointed_activations(SMALL, 3) == 3 * 2 * (2 * 10 + 6 * 10 + 2 * 5 + 4 * 40)


def test_under_ddp_every_gpu_has_everything_and_gradients_twice() -> None:
    few, many = (training_memory(SMALL, "adapter", MIXED, num_gpus=n, is_sharded=False, num_tokens=0) for n in (1, 8))
    assert few == many
    assert (few.weights, few.gradients, few.optimizer, few.gathered) == (2 * 1100 + 4 * 20, 2 * 4 * 20, 8 * 20, 0)
    assert few.total == 2 * 1100 + 4 * 20 + 2 * 4 * 20 + 8 * 20 + RESERVE


def test_shards_divide_all_but_gathered_blocks_and_activations() -> None:
    one, eight = (
        training_memory(SMALL, "adapter + language model", FLOAT32_SHARDS, num_gpus=n, is_sharded=True, num_tokens=7)
        for n in (1, 8)
    )
    for name in ("weights", "gradients", "optimizer"):
        assert getattr(one, name) == 8 * getattr(eight, name)
    assert one.weights + one.gradients + one.optimizer == 4 * 1120 + (4 + 8) * 1020
    assert one.gathered == eight.gathered == 2 * (2 * 200 + 50)
    assert one.activations == eight.activations > 0


def test_frozen_parameters_cost_weights_only() -> None:
    adapter = training_memory(SMALL, "adapter", FLOAT32_SHARDS, num_gpus=1, is_sharded=True, num_tokens=0)
    assert adapter.gradients == 4 * 20
    assert adapter.optimizer == 8 * 20
    assert adapter.weights == 4 * 1120


def test_the_document_has_the_tables_that_the_command_prints(models: dict[str, Shapes]) -> None:
    document = Path("docs/scaling.md").read_text()
    shapes = list(models.values())
    assert markdown(parameter_rows(shapes)) in document
    assert markdown(memory_rows(shapes)) in document
