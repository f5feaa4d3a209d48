"""Reading models from folders, and the errors when that fails."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaNextConfig

from algorithms import ConfigError, Prompt, PromptError
from models import AssembledPolicy, Policy, PretrainedPolicy
from models.assembly.tiny import fresh_vision_tower
from models.loading.checkpoint import LoadOptions, load_tower
from models.loading.processors import load_processor
from tests.conftest import Picture
from tests.models.families import family


@pytest.fixture
def folder(policy: Policy, tmp_path: Path) -> Path:
    policy.model.save_pretrained(tmp_path / "policy")
    policy.processor.save_pretrained(tmp_path / "policy")
    return tmp_path / "policy"


def refused(path: str, **options) -> str:
    """Return the error about a path, in one sentence or two on one line, with the key and the path as typed."""
    with pytest.raises(ConfigError) as raised:
        PretrainedPolicy(path, **options).build()
    message = str(raised.value)
    assert message.startswith(f"model.policy.path is {path!r}")
    assert "\n" not in message
    return message


def test_precision_and_attention_are_as_asked_for(folder: Path) -> None:
    policy = PretrainedPolicy(str(folder), dtype="bfloat16", attn_implementation="eager").build()
    assert {p.dtype for p in policy.parameters()} == {torch.bfloat16}
    assert policy.model.get_decoder().config._attn_implementation == "packed_eager"
    assert policy.model.model.vision_tower.config._attn_implementation == "eager"


def test_the_same_folder_gives_the_same_policy_in_eval_mode(folder: Path) -> None:
    one, other = (PretrainedPolicy(str(folder)).build() for _ in range(2))
    assert not one.model.training
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_a_folder_that_is_not_there_is_named() -> None:
    assert "no config.json" in refused("runs/nothing/here")


def test_a_hub_name_that_cannot_be_reached_says_how_to_fetch_it() -> None:
    assert "hf download" in refused("nobody/no-such-model")


def test_missing_weights_are_refused_and_not_drawn_at_random(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    gone = next(name for name in tensors if "linear_2.weight" in name)
    del tensors[gone]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "linear_2.weight" in refused(str(folder))


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] += 8
    (folder / "config.json").write_text(json.dumps(config))
    assert "down_proj.weight" in refused(str(folder))


def test_weights_in_a_format_that_runs_code_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert ".safetensors" in refused(str(folder))


def test_code_beside_the_weights_is_not_run_unless_asked(folder: Path) -> None:
    config = {"model_type": "their_own", "auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "theirs.py").write_text("raise SystemExit('this was run')")
    assert "trust_remote_code" in refused(str(folder))
    with pytest.raises(SystemExit, match="this was run"):
        PretrainedPolicy(str(folder), trust_remote_code=True).build()


def test_a_language_model_alone_is_a_policy_that_reads_no_images(policy: Policy, tmp_path: Path) -> None:
    from tests.models.families import qwen3

    text = tmp_path / "text"
    qwen3(policy.encoder.tokenizer).save_pretrained(text)
    policy.encoder.tokenizer.save_pretrained(text)
    whole, empty = PretrainedPolicy(str(text)).build(), PretrainedPolicy(str(text)).skeleton()
    assert whole.encoder.tokenizer.get_vocab() == policy.encoder.tokenizer.get_vocab()
    PretrainedPolicy(str(text)).read_into(empty, torch.device("cpu"))
    assert type(empty.model) is type(whole.model)
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in empty.state_dict().items())
    with pytest.raises(PromptError, match="vision"):
        whole.encoder.encode(Prompt(uid=0, key="0", question="how many red ?", images=(Picture((0, 0, 0)),)))


def test_a_model_of_an_unknown_family_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    LlavaNextConfig().save_pretrained(tmp_path / "config_alone")
    assert "'llava_next'" in refused(str(tmp_path / "config_alone"))
    with pytest.raises(ConfigError, match="'llava_next'"):
        PretrainedPolicy(str(tmp_path / "config_alone")).skeleton()


def test_a_tilde_in_a_path_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    expected = PretrainedPolicy(str(folder)).build().state_dict()
    read = PretrainedPolicy("~/policy").build()
    assert read.encoder.tokenizer.get_vocab()["<image>"] == read.model.config.image_token_id
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read.state_dict().items())
    empty = PretrainedPolicy("~/policy").skeleton()
    PretrainedPolicy("~/policy").read_into(empty, torch.device("cpu"))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in empty.state_dict().items())


def test_a_tower_is_found_within_a_larger_model(folder: Path, policy: Policy) -> None:
    tower = load_tower("model.policy.vision_tower", str(folder), LoadOptions())
    expected = policy.model.model.vision_tower.state_dict()
    assert tower.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tower.state_dict().items())


def test_a_model_without_tower_is_not_taken_for_one(policy: Policy, tmp_path: Path) -> None:
    from tests.models.families import qwen3

    qwen3(policy.encoder.tokenizer).save_pretrained(tmp_path / "text")
    with pytest.raises(ConfigError, match=r"model\.policy\.vision_tower is .*no vision tower"):
        load_tower("model.policy.vision_tower", str(tmp_path / "text"), LoadOptions())


def test_the_key_of_the_part_that_is_missing_is_named(tmp_path: Path) -> None:
    tower, images = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    tower.save_pretrained(tmp_path / "tower")
    images.save_pretrained(tmp_path / "tower")
    with pytest.raises(ConfigError, match=re.escape("model.policy.language_model is './nothing'")):
        AssembledPolicy(str(tmp_path / "tower"), "./nothing").build()


def test_a_language_model_whose_tokenizer_is_missing_is_refused_with_its_key(policy: Policy, tmp_path: Path) -> None:
    from tests.models.families import qwen3

    tower, images = fresh_vision_tower(image_size=48, patch_size=16, hidden_size=32, num_layers=1)
    tower.save_pretrained(tmp_path / "tower")
    images.save_pretrained(tmp_path / "tower")
    qwen3(policy.encoder.tokenizer).save_pretrained(tmp_path / "text")
    (tmp_path / "text" / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    with pytest.raises(ConfigError, match=r"^model\.policy\.language_model is .*no tokenizer that can be read"):
        AssembledPolicy(str(tmp_path / "tower"), str(tmp_path / "text")).build()


@pytest.mark.parametrize("name", ["internvl", "qwen3_vl"])
def test_settings_for_video_survive_a_processor_that_does_without(name: str, tmp_path: Path) -> None:
    processor = family(name).processor
    processor.video_processor = {"video_processor_type": "SomeVideoProcessor", "size": {"height": 3, "width": 4}}
    processor.save_pretrained(tmp_path / "policy")
    family(name).model.config.save_pretrained(tmp_path / "policy")
    load_processor(str(tmp_path / "policy")).save_pretrained(tmp_path / "again")
    settings = json.loads((tmp_path / "again" / "processor_config.json").read_text())
    assert settings["video_processor"] == processor.video_processor
    assert settings["processor_class"] == type(processor).__name__
