"""The benchmark for GPUs, with a model small enough for any machine."""

import argparse

import pytest
import torch

from experiments.speed import gpu

SMALL = {
    "hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
    "num_key_value_heads": 1, "vocab_size": 400, "tie_word_embeddings": True,
}  # fmt: skip
SMALL_VISION = {
    "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "patch_size": 14,
    "fullatt_block_indexes": [0], "window_size": 112,
}  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_without_a_gpu_nothing_is_measured_and_the_command_fails_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu.main([])


@pytest.mark.long
def test_the_recipe_runs_and_tokens_are_counted_once_where_they_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpu.SIZES, "3b", SMALL)
    monkeypatch.setattr(gpu, "QWEN_VL_VISION", SMALL_VISION)
    monkeypatch.setattr(gpu, "IMAGE_SIDE", 112)
    monkeypatch.setattr(gpu, "ON_ONE_GPU", ["--trainer.accelerator=cpu", "--trainer.precision=bf16-mixed"])
    options = argparse.Namespace(prompts=2, group_size=2, tokens=4, micro_batches=2, recompute=False, steps=3)
    result = gpu.measure("3b", options)
    # 4 x 4 patches of 28 pixels, 64 words, the recipe's instruction, and what the chat template writes.
    assert 16 + 64 < result["prompt_tokens"] < 200
    tokens = result["update_tokens_per_second"] * result["update_seconds"]
    assert tokens == pytest.approx(2 * result["prompt_tokens"] + 2 * 2 * 4)
    assert result["mfu"] is None
    assert result["peak_gibibytes"] == 0
