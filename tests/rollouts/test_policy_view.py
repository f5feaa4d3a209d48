"""Engines may use just what ``SampledPolicy`` names, and ``models.Policy`` has all of it."""

import inspect
from typing import Any

import pytest
import torch

from algorithms import Prompt
from models import Policy
from rollouts import SampledPolicy, SamplingConfig, TransformersEngine
from rollouts.policy_view import SampledEncoder
from rollouts.vllm.policy_files import policy_files
from rollouts.vllm.requests import SampledGroup, completions_of, requests_of

SAMPLING = SamplingConfig(group_size=2, temperature=0.8, max_new_tokens=6)


class Seen:
    """An object of which only the members of a protocol can be seen."""

    def __init__(self, whole: Any, protocol: type, **replaced: Any) -> None:
        self._members = {name: replaced.get(name, getattr(whole, name)) for name in members(protocol)}
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        if name not in self._members:
            raise AttributeError(f"{name} is not in the protocol")
        return self._members[name]


def members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def seen(policy: Policy) -> Any:
    return Seen(policy, SampledPolicy, encoder=Seen(policy.encoder, SampledEncoder))


@pytest.mark.parametrize("family", ["policy", "qwen_vl_policy"])
def test_the_embedded_engine_uses_nothing_else_of_a_policy(family: str, prompts: list[Prompt], request) -> None:
    policy: Policy = request.getfixturevalue(family)
    whole, viewed = TransformersEngine(), TransformersEngine()
    whole.sync(policy, version=0)
    viewed.sync(seen(policy), version=0)
    ids = [
        [completion.token_ids.tolist() for group in engine.generate(prompts, SAMPLING, seed=7) for completion in group]
        for engine in (whole, viewed)
    ]
    assert ids[0] == ids[1]


def test_what_goes_to_vllm_and_comes_back_needs_nothing_else_of_a_policy(policy: Policy, prompts: list[Prompt]) -> None:
    view = seen(policy)
    assert policy_files(view) == policy_files(policy)
    assert len(requests_of(view, prompts, SAMPLING, seed=0)) == 3
    group = SampledGroup(policy.encoder.encode(prompts[0]).token_ids.tolist(), [[20], [21]], [[-0.5], [-0.1]])
    ((first, _),) = completions_of(view, prompts[:1], [group], group_size=2)
    assert first.text == policy.encoder.tokenizer.decode([20])
    weights = dict(view.stream_weights())
    assert all(torch.equal(weights[name], tensor) for name, tensor in policy.model.state_dict().items())


@pytest.mark.parametrize(("whole", "protocol"), [("policy", SampledPolicy), ("encoder", SampledEncoder)])
def test_every_method_takes_the_arguments_that_engines_may_pass(policy: Policy, whole: str, protocol: type) -> None:
    has = policy if whole == "policy" else policy.encoder
    methods = [name for name in members(protocol) if inspect.isfunction(vars(protocol)[name])]
    assert methods
    for name in methods:
        expected = list(inspect.signature(vars(protocol)[name]).parameters.values())[1:]
        found = inspect.signature(getattr(has, name)).parameters
        assert [(p.name, p.kind) for p in expected] == [(found[p.name].name, found[p.name].kind) for p in expected], (
            name
        )
        extra = [p for n, p in found.items() if n not in {p.name for p in expected}]
        assert all(p.default is not inspect.Parameter.empty for p in extra), name
