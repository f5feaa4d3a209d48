"""What is read tensor by tensor equals what ``from_pretrained`` reads, here into one shard: the whole model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from algorithms import ConfigError
from models import LoRAConfig, Policy, add_lora, stream_weights
from models.loading.shards import read_into_shards, skeleton

CPU = torch.device("cpu")


@pytest.fixture(params=["policy", "qwen_vl_policy"])
def folder(request, tmp_path: Path) -> Path:
    policy: Policy = request.getfixturevalue(request.param)
    # Many small files, as large models come in.
    policy.model.save_pretrained(tmp_path, max_shard_size="100KB")
    return tmp_path


def test_a_skeleton_has_no_weights_until_the_folder_is_read_into_it(folder: Path) -> None:
    from transformers import AutoModelForImageTextToText

    model = skeleton(str(folder))
    assert all(parameter.is_meta for parameter in model.parameters())
    read_into_shards(model, str(folder), CPU)
    whole = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    for kind in ("named_parameters", "named_buffers"):
        read, expected = dict(getattr(model, kind)()), dict(getattr(whole, kind)())
        assert read.keys() == expected.keys()
        assert all(torch.equal(read[name], tensor) for name, tensor in expected.items()), kind
    assert model.generation_config.to_dict() == whole.generation_config.to_dict()


def test_tied_weights_stay_one(policy: Policy, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path)
    model = skeleton(str(tmp_path))
    read_into_shards(model, str(tmp_path), CPU)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_lora_on_a_skeleton_starts_as_lora_on_the_whole_model(policy: Policy, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path)
    torch.manual_seed(3)
    add_lora(policy.model, LoRAConfig(rank=2))
    model = skeleton(str(tmp_path))
    torch.manual_seed(3)
    add_lora(model, LoRAConfig(rank=2))
    read_into_shards(model, str(tmp_path), CPU)
    read, expected = dict(model.named_parameters()), dict(policy.model.named_parameters())
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
    assert len(list(stream_weights(model))) == len(list(stream_weights(policy.model)))


def test_weights_that_are_missing_are_an_error_that_names_one(policy: Policy, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    gone = next(name for name in tensors if "down_proj" in name)
    save_file(
        {name: t for name, t in tensors.items() if name != gone}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ConfigError, match=r"lack 1 tensors .*such as .*down_proj"):
        read_into_shards(skeleton(str(tmp_path)), str(tmp_path), CPU)


def test_a_folder_without_safetensors_is_refused_with_the_files_that_are_needed(policy: Policy, tmp_path: Path) -> None:
    policy.model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"neither model.safetensors nor model.safetensors.index.json"):
        read_into_shards(skeleton(str(tmp_path)), str(tmp_path), CPU)
