"""InternViT in its authors' layout, against an independent reading of their forward."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, linear

from algorithms import ConfigError
from models.loading.checkpoint import LoadOptions, load_tower
from models.loading.intern_vit import is_original_intern_vit

HEADS, WIDTH, LAYERS = 2, 16, 2
SETTINGS = {
    "model_type": "intern_vit_6b", "hidden_size": WIDTH, "intermediate_size": 24, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "image_size": 16, "patch_size": 4, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
    "attention_dropout": 0.0, "dropout": 0.0, "drop_path_rate": 0.1, "initializer_factor": 0.1, "num_channels": 3,
    "use_flash_attn": True, "auto_map": {"AutoModel": "modeling_intern_vit.InternVisionModel"},
}  # fmt: skip
LARGE = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}  # as the 6B
SMALL = {"norm_type": "layer_norm", "qk_normalization": False, "qkv_bias": True}  # as the 300M


def original_weights(kind: dict[str, Any]) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (1, 1, WIDTH), "embeddings.position_embedding": (1, 17, WIDTH),
        "embeddings.patch_embedding.weight": (WIDTH, 3, 4, 4), "embeddings.patch_embedding.bias": (WIDTH,),
    }  # fmt: skip
    for i in range(LAYERS):
        layer: dict[str, tuple[int, ...]] = {
            "attn.qkv.weight": (3 * WIDTH, WIDTH), "attn.proj.weight": (WIDTH, WIDTH), "attn.proj.bias": (WIDTH,),
            "mlp.fc1.weight": (24, WIDTH), "mlp.fc1.bias": (24,), "mlp.fc2.weight": (WIDTH, 24),
            "mlp.fc2.bias": (WIDTH,), "norm1.weight": (WIDTH,), "norm2.weight": (WIDTH,), "ls1": (WIDTH,),
            "ls2": (WIDTH,),
        }  # fmt: skip
        if kind["qk_normalization"]:
            layer |= {"attn.q_norm.weight": (WIDTH,), "attn.k_norm.weight": (WIDTH,)}
        if kind["qkv_bias"]:
            layer |= {"attn.qkv.bias": (3 * WIDTH,)}
        if kind["norm_type"] == "layer_norm":
            layer |= {"norm1.bias": (WIDTH,), "norm2.bias": (WIDTH,)}
        shapes |= {f"encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


def original_forward(w: dict[str, Tensor], pixels: Tensor, kind: dict[str, Any]) -> Tensor:
    """Return hidden states (1, 17, WIDTH) as the authors' modeling_intern_vit.py computes them."""
    patches = conv2d(pixels, w["embeddings.patch_embedding.weight"], w["embeddings.patch_embedding.bias"], stride=4)
    x = torch.cat([w["embeddings.class_embedding"], patches.flatten(2).transpose(1, 2)], dim=1)
    x = x + w["embeddings.position_embedding"]
    for i in range(LAYERS):
        of = {name.removeprefix(f"encoder.layers.{i}."): t for name, t in w.items() if name.startswith("encoder")}

        def norm(x: Tensor, name: str, of: dict[str, Tensor] = of) -> Tensor:
            if kind["norm_type"] == "rms_norm":
                return rms(x, of[f"{name}.weight"])
            return layer_norm(x, (WIDTH,), of[f"{name}.weight"], of[f"{name}.bias"], 1e-6)

        qkv = linear(norm(x, "norm1"), of["attn.qkv.weight"], of.get("attn.qkv.bias"))
        q, k, v = qkv.view(1, 17, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        if kind["qk_normalization"]:
            q, k = (
                rms(part.transpose(1, 2).flatten(-2), of[f"attn.{n}_norm.weight"])
                .view(1, 17, HEADS, -1)
                .transpose(1, 2)
                for n, part in (("q", q), ("k", k))
            )
        attended = ((q * (WIDTH // HEADS) ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        x = x + of["ls1"] * linear(attended.transpose(1, 2).flatten(2), of["attn.proj.weight"], of["attn.proj.bias"])
        inner = gelu(linear(norm(x, "norm2"), of["mlp.fc1.weight"], of["mlp.fc1.bias"]))
        x = x + of["ls2"] * linear(inner, of["mlp.fc2.weight"], of["mlp.fc2.bias"])
    return x


def write(folder: Path, weights: dict[str, Tensor], kind: dict[str, Any], *, num_files: int = 1) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SETTINGS | kind))
    if num_files == 1:
        save_file(weights, folder / "model.safetensors")
        return folder
    names = sorted(weights)
    files = {name: f"model-{i % num_files + 1:05}-of-{num_files:05}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: weights[name] for name in names if files[name] == file}, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("num_files", [1, 2])
@pytest.mark.parametrize("kind", [LARGE, SMALL], ids=["6B", "300M"])
def test_a_tower_in_its_authors_layout_sees_as_theirs_does(kind: dict[str, Any], num_files: int, tmp_path) -> None:
    weights = original_weights(kind)
    folder = write(tmp_path / "tower", weights, kind, num_files=num_files)
    tower = load_tower("model.policy.vision_tower", str(folder), LoadOptions())
    pixels = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        seen = tower(pixel_values=pixels).last_hidden_state
    expected = original_forward(weights, pixels, kind)
    assert is_original_intern_vit(str(folder))
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)


def test_a_tower_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    weights = original_weights(LARGE)
    del weights["encoder.layers.1.ls2"]
    folder = write(tmp_path / "tower", weights, LARGE)
    with pytest.raises(ConfigError, match=r"model\.policy\.vision_tower is .*missing \['encoder.layer.1.lambda_2'\]"):
        load_tower("model.policy.vision_tower", str(folder), LoadOptions())
