import pytest
import torch

from models import LoRAConfig, Policy, add_lora, stream_weights
from tests.models.merged_lora import lora_merged


def with_lora(policy: Policy, *, trainable: list[str]) -> Policy:
    policy.requires_grad_(False)
    if trainable:
        policy.set_trainable(trainable)
    add_lora(policy.model, LoRAConfig(parts=("language_model",), rank=2))
    for name, parameter in policy.model.named_parameters():
        if ".lora_B." in name:  # peft starts these at zero, which would change nothing
            torch.nn.init.normal_(parameter)
    return policy


@pytest.mark.parametrize("family", ["policy", "qwen_vl_policy"])
def test_the_stream_is_the_state_dict_of_the_hugging_face_model(family: str, request) -> None:
    model = request.getfixturevalue(family).model
    streamed, expected = dict(stream_weights(model)), model.state_dict()
    assert list(streamed) == list(expected)
    assert all(torch.equal(streamed[name], tensor) for name, tensor in expected.items())
    assert not any(tensor.requires_grad for tensor in streamed.values())


def test_a_tied_head_is_streamed_under_its_own_name(policy: Policy) -> None:
    streamed = dict(stream_weights(policy.model))
    assert torch.equal(streamed["lm_head.weight"], streamed["model.language_model.embed_tokens.weight"])


@pytest.mark.parametrize("trainable", [[], ["adapter"]])
def test_lora_updates_are_added_to_their_weights(policy: Policy, trainable: list[str]) -> None:
    names = list(policy.model.state_dict())
    model = with_lora(policy, trainable=trainable).model
    streamed = {name: tensor.clone() for name, tensor in stream_weights(model)}
    with lora_merged(model):
        expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert list(streamed) == list(expected) == names
    assert all(torch.equal(streamed[name], tensor) for name, tensor in expected.items())


def test_training_the_adapter_alone_streams_the_adapter_alone(policy: Policy) -> None:
    policy.set_trainable(["adapter"])
    names = [name for name, _ in stream_weights(policy.model, only_trainable=True)]
    assert names
    assert all(".multi_modal_projector." in name for name in names)


def test_training_lora_streams_the_weights_that_lora_changes(policy: Policy) -> None:
    model = with_lora(policy, trainable=[]).model
    names = [name for name, _ in stream_weights(model, only_trainable=True)]
    assert names
    assert all("_proj.weight" in name and ".language_model." in name for name in names)
    assert "model.language_model.layers.0.self_attn.q_proj.weight" in names


def test_one_tensor_is_made_at_a_time(policy: Policy, monkeypatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("models.weight_stream.whole", lambda tensor: made.append("one") or tensor.detach())
    stream = stream_weights(policy.model)
    assert made == []
    next(stream)
    assert len(made) == 1
