"""A frozen tower reads each image of a rollout once, and what is kept of it changes no number."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from algorithms import Prompt
from models import LoRAConfig, Policy, add_lora
from models.families import family_of
from models.parts import part_modules
from models.reading import completion_hidden as reading
from models.reading import kept_images
from rollouts import SamplingConfig, TransformersEngine
from tests.models.families import FAMILIES, Stripes, family
from tests.models.per_sample import assert_same, gradients

IDS = torch.randint(10, 40, (4, 6), generator=torch.Generator().manual_seed(2))
ROWS = torch.tensor([1, 0, 2, 1])
IS_COMPLETION = torch.arange(6)[None, :] < torch.tensor([6, 2, 4, 5])[:, None]


@pytest.fixture
def prompts() -> list[Prompt]:
    """A wide picture, two pictures, and none."""
    square, wide, tall = Stripes(48, 48, 3), Stripes(96, 48, 5), Stripes(40, 80, 7)
    questions = ["how many more red than blue ?", "how many <image> or <image> blue ?", "how many ?"]
    images = [(wide,), (tall, square), ()]
    return [
        Prompt(uid=i, key=str(i), question=question, images=of)
        for i, (question, of) in enumerate(zip(questions, images, strict=True))
    ]


def adapter(policy: Policy) -> None:
    policy.set_trainable(["adapter"])


def lora(policy: Policy) -> None:
    policy.requires_grad_(False)
    add_lora(policy.model, LoRAConfig(rank=2, alpha=4))


def tower_runs(policy: Policy) -> list[int]:
    """Return a list that grows with every run of the tower."""
    counted: list[int] = []
    layer: Any = next(module for module in part_modules(policy.model)["vision_tower"] if list(module.parameters()))
    layer.register_forward_hook(lambda *args: counted.append(1))
    return counted


def logps(policy: Policy, prompts: list[Prompt]) -> torch.Tensor:
    return policy.completion_scores(prompts, ROWS, IDS, IS_COMPLETION).logps


# With LoRA alone features are kept as they leave the adapter, in every family in the same way.
@pytest.mark.parametrize(
    ("name", "learning"),
    [
        *(pytest.param(name, adapter, id=f"{name}, adapter") for name in FAMILIES),
        *(
            pytest.param(name, lora, id=f"{name}, LoRA", marks=[] if name == "qwen3_vl" else pytest.mark.long)
            for name in FAMILIES
        ),
    ],
)
def test_sampling_and_two_forwards_read_each_image_once_and_give_the_same_gradients(
    name: str, learning: Callable[[Policy], None], prompts: list[Prompt]
) -> None:
    policy = family(name)
    learning(policy)
    policy.train()
    expected_logps = logps(policy, prompts)
    expected = gradients(policy, expected_logps)
    runs, engine = tower_runs(policy), TransformersEngine()
    engine.sync(policy, version=0)
    with policy.kept_images.open(policy.model):
        engine.generate(prompts, SamplingConfig(group_size=2, max_new_tokens=3), seed=0)
        for _ in range(2):
            ours = logps(policy, prompts)
            torch.testing.assert_close(ours, expected_logps, rtol=0.0, atol=1e-5)
            assert_same(gradients(policy, ours), expected)
        assert len(runs) == 1
        policy.kept_images.forget()
        logps(policy, prompts[:2] + prompts[2:])
    assert len(runs) == 2
    # Outside nothing is kept: validation reads its own images.
    logps(policy, prompts)
    assert len(runs) == 3


def test_a_tower_that_learns_reads_images_each_time(prompts: list[Prompt]) -> None:
    policy = family("siglip_llava")
    policy.set_trainable(["vision_tower"])
    runs = tower_runs(policy)
    with policy.kept_images.open(policy.model):
        for number in (1, 2):
            assert any("vision_tower" in name for name in gradients(policy, logps(policy, prompts)))
            assert len(runs) == number
    assert policy.kept_images.groups == []


def test_what_there_is_no_room_for_is_read_again_and_nothing_else_leaves(prompts, monkeypatch) -> None:
    policy = family("siglip_llava")
    policy.set_trainable(["adapter"])
    # Of 9 image tokens with 32 numbers: one image, and not two.
    monkeypatch.setattr(kept_images, "_MOST_BYTES", 9 * 32 * 4)
    policy.kept_images.forget()
    expected, runs = logps(policy, prompts), tower_runs(policy)
    with policy.kept_images.open(policy.model):
        for number in (1, 2):
            torch.testing.assert_close(logps(policy, prompts), expected, rtol=0.0, atol=1e-5)
            assert len(runs) == number
    assert policy.kept_images.groups == [prompts[:2]]


def test_images_read_again_in_their_groups_have_the_same_numbers(prompts: list[Prompt]) -> None:
    policy, again = family("internvl"), family("internvl")
    for one in (policy, again):
        one.set_trainable(["adapter"])
    with policy.kept_images.open(policy.model):
        logps(policy, prompts)
        groups = policy.kept_images.groups
        ours = logps(policy, prompts)
    assert groups == [prompts[:2]]
    with again.kept_images.open(again.model):
        for group in groups:
            again.read_images(group)
        runs = tower_runs(again)
        assert torch.equal(logps(again, prompts), ours)
    assert runs == []


@pytest.mark.parametrize("has_images", [True, False])
def test_a_rank_runs_the_tower_and_the_adapter_whenever_another_one_does(
    has_images: bool, prompts, monkeypatch
) -> None:
    policy = family("siglip_llava")
    policy.set_trainable(["adapter"])
    mine = prompts if has_images else [Prompt(uid=i, key=str(i), question="how many ?") for i in range(3)]
    alone, adapters = logps(policy, mine), [0]
    (module,) = family_of(policy.model).adapters(policy.model)
    module.register_forward_pre_hook(lambda *args: adapters.append(1))
    # Every other rank has images, and the tower runs on it the first time and the third.
    others = iter([(1, 1), (1, 0), (1, 1)])

    def largest(module: Any, *numbers: int) -> list[int]:
        return [max(pair) for pair in zip(numbers, next(others), strict=True)]

    monkeypatch.setattr(reading, "largest_over_ranks", largest)
    runs = tower_runs(policy)
    with policy.kept_images.open(policy.model):
        for number_of_runs in (1, 1, 2):
            torch.testing.assert_close(logps(policy, mine), alone, rtol=0.0, atol=1e-5)
            assert len(runs) == number_of_runs
    # Once with each run of the tower, and once to be learnt through.
    assert sum(adapters) == 2 + 3
