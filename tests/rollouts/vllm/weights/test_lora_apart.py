"""LoRA updates on their way to vLLM, apart from their weights, with a stand-in for vLLM itself."""

from collections.abc import Iterator

import peft
import pytest
import torch
from safetensors.torch import load_file

from algorithms import ConfigError
from models import LoRAConfig, Policy, add_lora, stream_weights
from rollouts import RolloutEngine, TransformersEngine, VLLMEngine, VLLMServerEngine, VLLMSettings
from rollouts.vllm.weights.lora_adapter import check_served, room_for, write_adapter
from tests.rollouts.vllm.stand_in import StandInModel, serving

ADAPTER = VLLMSettings(lora="adapter")

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture(params=[VLLMEngine, VLLMServerEngine])
def engine(request: pytest.FixtureRequest) -> Iterator[RolloutEngine]:
    if request.param is VLLMEngine:
        yield VLLMEngine(ADAPTER)
    else:
        with serving() as url:
            yield VLLMServerEngine(ADAPTER, url=url, timeout_s=20.0)


def with_lora(policy: Policy, *, trainable: tuple[str, ...] = (), **config) -> Policy:
    policy.requires_grad_(False)
    if trainable:
        policy.set_trainable(trainable)
    add_lora(policy.model, LoRAConfig(**config))
    for name, parameter in policy.model.named_parameters():
        if ".lora_B." in name:  # peft starts these at zero, which would change nothing
            torch.nn.init.normal_(parameter)
    return policy


def learning_names(policy: Policy) -> set[str]:
    return {n.replace(".default.", ".") for n, p in policy.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("trainable", [(), ("adapter",), ("language_model",)])
def test_after_the_first_time_just_what_learns_goes_over(engine, policy: Policy, trainable: tuple[str, ...]) -> None:
    names = list(policy.model.state_dict())
    with_lora(policy, trainable=trainable)
    engine.sync(policy, version=0)
    engine.sync(policy, version=1)
    (model,) = StandInModel.built
    first, second = (set(load) for load in model.loads)
    updates = {name for name in first if ".lora_" in name}
    assert first - updates == set(names)
    assert updates
    # A layer whose own weight learns besides has both; tied weights have two names.
    learning = {name.replace(".base_layer.", ".") for name in learning_names(policy)}
    assert second - {"lm_head.weight"} == learning - {"lm_head.weight"}
    assert updates <= second


def test_the_two_matrices_of_a_layer_make_up_its_update(policy: Policy) -> None:
    with_lora(policy, rank=3, alpha=8)
    apart = {name: tensor.clone() for name, tensor in stream_weights(policy.model, merge_lora=False)}
    merged = dict(stream_weights(policy.model))
    layers = [name.removesuffix(".lora_A.weight") for name in apart if name.endswith(".lora_A.weight")]
    assert len(layers) == 14
    for layer in layers:
        update = apart[f"{layer}.lora_B.weight"] @ apart[f"{layer}.lora_A.weight"]
        assert update.any()
        torch.testing.assert_close(apart[f"{layer}.weight"] + update, merged[f"{layer}.weight"], rtol=1e-5, atol=1e-5)


def test_updates_of_which_peft_has_added_some_in_place_are_in_the_weights(policy: Policy) -> None:
    with_lora(policy)
    expected = {name: tensor.clone() for name, tensor in stream_weights(policy.model)}
    for layer in policy.model.modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            layer.merge()
    for only_trainable in (False, True):
        streamed = dict(stream_weights(policy.model, only_trainable=only_trainable, merge_lora=False))
        assert streamed
        assert all(torch.equal(expected[name], tensor) for name, tensor in streamed.items())


def test_the_server_learns_the_rank_that_it_must_have_room_for(engine, policy: Policy) -> None:
    engine.sync(with_lora(policy, rank=24), version=0)
    assert StandInModel.built[0].files.lora_rank == 24
    assert [room_for(rank) for rank in (1, 2, 24, 512)] == [1, 8, 32, 512]


def test_merged_updates_need_no_room(policy: Policy) -> None:
    VLLMEngine().sync(with_lora(policy), version=0)
    assert StandInModel.built[0].files.lora_rank == 0
    assert not any(".lora_" in name for name in StandInModel.built[0].weights)


def test_the_files_are_a_peft_adapter(policy: Policy, tmp_path) -> None:
    with_lora(policy, rank=3)
    updates = {name: t for name, t in stream_weights(policy.model, merge_lora=False) if ".lora_" in name}
    write_adapter(tmp_path, updates)
    config = peft.LoraConfig.from_pretrained(str(tmp_path))
    assert (config.r, config.lora_alpha, len(config.target_modules)) == (3, 3, 14)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert saved.keys() == {f"base_model.model.{name}" for name in updates}


@pytest.mark.parametrize(
    ("ranks", "sentence"),
    [
        ({}, r"settings\.lora=adapter is for a policy with LoRA.*set model\.learning\.lora, or set .*lora=merged"),
        ({"vision_tower": 8}, r"model\.learning\.lora\.parts must be \[language_model\].*updates of vision_tower"),
        ({"language_model": 8, "adapter": 8}, r"got \['adapter', 'language_model'\].*updates of adapter"),
        ({"language_model": 513}, r"model\.learning\.lora\.rank must be at most 512 .* got 513"),
    ],
)
def test_what_vllm_could_not_serve_is_refused(ranks: dict[str, int], sentence: str) -> None:
    for engine in (VLLMEngine(ADAPTER), VLLMServerEngine(ADAPTER)):
        with pytest.raises(ConfigError, match=sentence):
            engine.check_lora(ranks)
    VLLMEngine().check_lora(ranks)
    TransformersEngine().check_lora(ranks)


def test_updates_of_the_tower_are_refused_before_vllm_starts(policy: Policy) -> None:
    with_lora(policy, parts=("vision_tower", "language_model"))
    with pytest.raises(ConfigError, match=r"model\.learning\.lora\.parts"):
        VLLMEngine(ADAPTER).sync(policy, version=0)
    assert StandInModel.built == []


def test_one_rank_that_vllm_has_room_for_is_enough() -> None:
    check_served({"language_model": 512})
