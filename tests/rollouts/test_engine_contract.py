"""What every rollout engine must do, checked for each of them with the same tests. vLLM's are real vLLM, on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest
import torch

from algorithms import Completion, Prompt
from models import Policy
from rollouts import EngineError, RolloutEngine, SamplingConfig, TransformersEngine, VLLMEngine, VLLMServerEngine
from rollouts.vllm.settings import VLLMSettings
from tests.conftest import Picture, sharp_policy
from tests.models.families import family

SETTINGS = VLLMSettings(max_model_len=256, max_images=2, cache_megabytes=64)
ENGINES = {
    "transformers": lambda: TransformersEngine(),
    "vllm": lambda: VLLMEngine(SETTINGS),
    "vllm_server": lambda: VLLMServerEngine(SETTINGS),
}
REAL_VLLM = [pytest.param(name, marks=pytest.mark.vllm) for name in ("vllm", "vllm_server")]
SAMPLING = SamplingConfig(group_size=4, temperature=0.8, max_new_tokens=12)
VERSIONS = count()


@pytest.fixture(scope="module", params=["transformers", *REAL_VLLM])
def engine(request: pytest.FixtureRequest) -> Iterator[RolloutEngine]:
    yield from running(request.param)


@pytest.fixture(scope="module", params=REAL_VLLM)
def vllm_engine(request: pytest.FixtureRequest) -> Iterator[RolloutEngine]:
    yield from running(request.param)


def running(name: str) -> Iterator[RolloutEngine]:
    engine = ENGINES[name]()
    yield engine
    engine.shut_down()


@pytest.fixture(scope="module")
def policy() -> Policy:
    """One for the whole module, as vLLM starts anew for every policy; tests put back what they change."""
    return sharp_policy()


@contextmanager
def changed(policy: Policy, *, trainable: tuple[str, ...] = ("vision_tower", "adapter", "language_model")):
    """Move the weights of some parts, as an optimizer step would, and put them back."""
    before = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    policy.set_trainable(trainable)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    yield
    policy.model.load_state_dict(before)


def sample(engine: RolloutEngine, policy: Policy, prompts, *, sampling=SAMPLING, seed: int = 7):
    engine.sync(policy, version=next(VERSIONS))
    return engine.generate(prompts, sampling, seed=seed)


def gap(policy: Policy, prompts: list[Prompt], groups: list[list[Completion]], temperature: float) -> torch.Tensor:
    """Return the differences between the learner's log-probs and the engine's, over all tokens."""
    gaps: list[torch.Tensor] = []
    for row, group in enumerate(groups):
        for completion in group:
            ids = completion.token_ids[None]
            is_completion = torch.ones_like(ids, dtype=torch.bool)
            with torch.no_grad():
                scores = policy.completion_scores(
                    prompts, torch.tensor([row]), ids, is_completion, temperature=temperature
                )
            gaps.append(scores.logps[0] - completion.behavior_logps)
    return torch.cat(gaps).abs()


def texts(groups: list[list[Completion]]) -> list[list[str]]:
    return [[completion.text for completion in group] for group in groups]


# --- sampling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.8, 1.0, 0.0])
def test_log_probs_are_the_learners_to_the_fourth_digit(engine, policy, prompts, temperature: float) -> None:
    sampling = replace(SAMPLING, temperature=temperature)
    groups = sample(engine, policy, prompts, sampling=sampling)
    assert [len(group) for group in groups] == [4, 4, 4]
    assert gap(policy, prompts, groups, temperature or 1.0).max() < 1e-4


def test_the_order_of_groups_is_that_of_the_prompts(engine, policy, prompts) -> None:
    turned = prompts[::-1]
    # Log-probs under another prompt's picture and question would be far off.
    groups = sample(engine, policy, turned)
    assert gap(policy, turned, groups, SAMPLING.temperature).max() < 1e-4
    assert gap(policy, prompts, groups, SAMPLING.temperature).max() > 0.1


def test_the_same_seed_gives_the_same_completions_and_another_seed_others(engine, policy, prompts) -> None:
    first, again, other = (texts(sample(engine, policy, prompts, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_completion_does_not_depend_on_the_prompts_after_it(engine, policy, prompts) -> None:
    assert texts(sample(engine, policy, prompts[:1])) == texts(sample(engine, policy, prompts))[:1]


def test_completions_of_a_group_differ(engine, policy, prompts) -> None:
    (group,) = texts(sample(engine, policy, prompts[:1], sampling=replace(SAMPLING, group_size=8)))
    assert len(set(group)) > 1


def test_a_completion_ends_at_its_first_end_token_or_at_the_limit(engine, policy, prompts) -> None:
    sampling = SamplingConfig(group_size=8, temperature=2.0, max_new_tokens=100)
    completions = [c for group in sample(engine, policy, prompts, sampling=sampling) for c in group]
    for completion in completions:
        ends = (completion.token_ids == policy.end_token_id).nonzero().flatten().tolist()
        assert len(completion.token_ids) == len(completion.behavior_logps)
        is_cut = completion.finish_reason == "length"
        assert ends == ([] if is_cut else [len(completion.token_ids) - 1])
        assert len(completion.token_ids) == 100 or not is_cut
    assert {c.finish_reason for c in completions} >= {"stop"}


def test_no_image_or_structural_token_is_ever_sampled(engine, policy, prompts) -> None:
    sampling = SamplingConfig(group_size=32, temperature=2.0, max_new_tokens=32)
    groups = sample(engine, policy, prompts, sampling=sampling)
    sampled = {int(token) for group in groups for completion in group for token in completion.token_ids}
    assert policy.model.config.image_token_id in policy.banned_token_ids.tolist()
    assert sampled.isdisjoint(policy.banned_token_ids.tolist())


def test_prompts_with_no_image_and_with_two_are_read_as_the_learner_reads_them(engine, policy) -> None:
    pictures = (Picture((255, 0, 0)), Picture((0, 0, 255)))
    mixed = [
        Prompt(uid=0, key="0", question="how many red ?", images=pictures),
        Prompt(uid=1, key="1", question="how many blue ?", prefill="red 2"),
    ]
    groups = sample(engine, policy, mixed)
    assert gap(policy, mixed, groups, SAMPLING.temperature).max() < 1e-4


def test_no_prompts_give_no_groups(engine, policy) -> None:
    assert sample(engine, policy, []) == []


# --- weights ------------------------------------------------------------------------------------------------


def test_new_weights_are_used_also_for_a_picture_seen_before(engine, policy, prompts) -> None:
    before = texts(sample(engine, policy, prompts))
    with changed(policy):
        groups = sample(engine, policy, prompts)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
        assert texts(groups) != before


@pytest.mark.vllm
def test_weights_are_stale_until_the_next_version(vllm_engine, policy, prompts) -> None:
    version = next(VERSIONS)
    vllm_engine.sync(policy, version=version)
    with changed(policy):
        vllm_engine.sync(policy, version=version)
        groups = vllm_engine.generate(prompts, SAMPLING, seed=7)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() > 0.1


@pytest.mark.vllm
def test_only_what_learns_goes_over_again(vllm_engine, policy, prompts) -> None:
    vllm_engine.sync(policy, version=next(VERSIONS))
    with changed(policy, trainable=("adapter",)):
        groups = sample(vllm_engine, policy, prompts)
        assert gap(policy, prompts, groups, SAMPLING.temperature).max() < 1e-4
        adapter = policy.model.model.multi_modal_projector
        assert vllm_engine.last_sync.num_bytes == sum(p.numel() * 4 for p in adapter.parameters())


@pytest.mark.vllm
def test_greedy_completions_are_those_of_the_embedded_engine(vllm_engine, policy, prompts) -> None:
    greedy = SamplingConfig(group_size=2, temperature=0.0, max_new_tokens=12)
    ours = sample(TransformersEngine(), policy, prompts, sampling=greedy)
    assert texts(sample(vllm_engine, policy, prompts, sampling=greedy)) == texts(ours)


@pytest.mark.vllm
def test_a_clip_tower_with_a_qwen3_is_served_too(prompts) -> None:
    policy = family("clip_llava")
    engine = VLLMEngine(SETTINGS)
    gaps = gap(policy, prompts, sample(engine, policy, prompts), SAMPLING.temperature)
    engine.shut_down()
    assert gaps.max() < 1e-4


@pytest.mark.vllm
def test_in_bfloat16_log_probs_differ_in_the_second_digit(policy, prompts) -> None:
    engine = VLLMEngine(VLLMSettings(max_model_len=256, cache_megabytes=64, dtype="bfloat16"))
    gaps = gap(
        policy, prompts, sample(engine, policy, prompts, sampling=replace(SAMPLING, group_size=8)), SAMPLING.temperature
    )
    engine.shut_down()
    assert 1e-4 < gaps.mean() < 0.1


# --- failures -----------------------------------------------------------------------------------------------


def test_sampling_before_any_weights_is_an_error_that_says_so(prompts) -> None:
    for engine in (TransformersEngine(), VLLMEngine(SETTINGS), VLLMServerEngine(SETTINGS)):
        with pytest.raises(EngineError, match=rf"^{type(engine).__name__} has no weights yet: call sync\(\)"):
            engine.generate(prompts, SAMPLING, seed=0)


@pytest.mark.vllm
def test_a_prompt_too_long_is_reported_and_the_next_rollout_works(vllm_engine, policy, prompts) -> None:
    long = Prompt(uid=0, key="long", question="how many red ? " * 100)
    with pytest.raises(EngineError, match="256"):
        sample(vllm_engine, policy, [*prompts, long])
    assert gap(policy, prompts, sample(vllm_engine, policy, prompts), SAMPLING.temperature).max() < 1e-4


@pytest.mark.vllm
def test_an_engine_that_was_shut_down_starts_again(vllm_engine, policy, prompts) -> None:
    before = texts(sample(vllm_engine, policy, prompts))
    vllm_engine.shut_down()
    assert texts(sample(vllm_engine, policy, prompts)) == before


@pytest.mark.vllm
def test_starting_and_sampling_leave_random_generators_and_threads_alone(policy, prompts) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    engine = VLLMEngine(SETTINGS)
    sample(engine, policy, prompts)
    engine.shut_down()
    assert torch.rand(3).tolist() == expected.tolist()
    torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)
