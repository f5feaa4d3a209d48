"""A head that is tied to the embeddings: one tensor with two names, of which vLLM on a CPU needs both."""

import pytest
import torch

from models import LoRAConfig, Policy, add_lora, stream_weights
from rollouts import VLLMEngine, VLLMServerEngine
from rollouts.vllm import wire
from tests.rollouts.vllm.stand_in import StandInModel, serving

HEAD, EMBEDDINGS = "lm_head.weight", "model.language_model.embed_tokens.weight"

pytestmark = pytest.mark.usefixtures("stand_in")


def num_bytes(tensors) -> int:
    """Return the size of tensors, each counted once however many names it has."""
    different = {tensor.data_ptr(): tensor for tensor in tensors}
    return sum(tensor.numel() * tensor.element_size() for tensor in different.values())


@pytest.mark.parametrize("trainable", [["language_model"], ["adapter", "language_model"]])
def test_a_tied_tensor_is_sent_to_a_server_once_and_gets_there_under_both_names(policy, trainable) -> None:
    policy.set_trainable(trainable)
    with serving() as url:
        engine = VLLMServerEngine(url=url, timeout_s=20.0)
        engine.sync(policy, version=0)
        assert engine.last_sync is not None
        assert engine.last_sync.num_bytes == num_bytes(policy.model.state_dict().values())
        with torch.no_grad():
            policy.model.get_input_embeddings().weight.add_(1.0)
        engine.sync(policy, version=1)
    (model,) = StandInModel.built
    assert engine.last_sync.num_bytes == num_bytes(p for p in policy.model.parameters() if p.requires_grad)
    for load in model.loads:
        assert {HEAD, EMBEDDINGS} <= set(load)
    for name in (HEAD, EMBEDDINGS):
        assert torch.equal(model.weights[name], policy.model.get_input_embeddings().weight)


def test_in_the_same_process_both_names_come_with_one_tensor(policy: Policy) -> None:
    VLLMEngine().sync(policy, version=0)
    (model,) = StandInModel.built
    assert torch.equal(model.weights[HEAD], model.weights[EMBEDDINGS])


@pytest.mark.parametrize("has_lora", [False, True])
def test_a_policy_knows_its_tied_names(policy: Policy, has_lora: bool) -> None:
    if has_lora:
        add_lora(policy.model, LoRAConfig())
    assert policy.tied_names == {HEAD: EMBEDDINGS}
    assert {HEAD, EMBEDDINGS} <= {name for name, _ in stream_weights(policy.model)}


def test_a_name_whose_tensor_did_not_come_is_left_out() -> None:
    sent = [("a", torch.ones(2)), ("b", torch.zeros(1))]
    arrived = dict(wire.with_tied(sent, {"c": "a", "d": "e"}))
    assert list(arrived) == ["a", "c", "b"]
    assert arrived["c"] is arrived["a"]


@pytest.mark.parametrize("header", ["[]", '{"a": 1}', "nonsense", '{"a": NaN}'])
def test_a_header_that_names_no_names_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"Tied|JSON|Expecting|NaN"):
        wire.unpack_tied(header)
