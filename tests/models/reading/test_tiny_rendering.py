"""The tiny policy reads and samples, token for token, what it has read and sampled in every version so far.

Its results in docs/experiments.md were made with these tokens. The numbers were taken before texts were cut.
"""

from algorithms import Prompt
from rollouts import SamplingConfig, TransformersEngine
from tests.conftest import Picture, sharp_policy

RED, BLUE = Picture((255, 0, 0)), Picture((0, 0, 255))
PROMPTS = [
    Prompt(uid=0, key="0", question="how many red ?", images=(RED,)),
    Prompt(uid=1, key="1", question="how many <image> or <image> blue ?", images=(BLUE, RED)),
    Prompt(uid=2, key="2", question="how many more red than unheard ?", prefill="red 2 "),
]
IMAGE = [4] * 9
READ = [
    [2, 51, *IMAGE, 56, 57, 23, 61, 3, 2, 52, 5],
    [2, 51, 56, 57, *IMAGE, 1, *IMAGE, 25, 61, 3, 2, 52, 5],
    [2, 51, 56, 57, 59, 23, 60, 1, 61, 3, 2, 52, 5, 23, 34],
]
SAMPLED = [
    [[66, 47, 39, 58, 24, 47, 53, 74], [15, 22, 5, 63, 29, 8, 53, 56]],
    [[46, 47, 51, 17, 14, 67, 12, 66], [69, 14, 22, 61, 40, 25, 69, 14]],
    [[36, 31, 16, 3], [53, 48, 33, 72, 36, 32, 53, 63]],
]


def test_prompts_and_completions_have_the_tokens_they_always_had() -> None:
    encoder = sharp_policy().encoder
    assert [encoder.encode(prompt).token_ids.tolist() for prompt in PROMPTS] == READ
    completions = encoder.completion_ids(["<think>\nred </think> two", "blue <x> 2"], [True, False])
    assert [ids.tolist() for ids in completions] == [[23, 6, 1, 3], [25, 1, 34]]


def test_the_same_seed_samples_the_tokens_it_always_sampled() -> None:
    policy = sharp_policy()
    assert policy.banned_token_ids.tolist() == [0, 1, 2, 4]
    assert (policy.end_token_ids, policy.model.generation_config.eos_token_id) == ((3,), 3)  # pyright: ignore
    engine = TransformersEngine()
    engine.sync(policy, version=0)
    groups = engine.generate(PROMPTS, SamplingConfig(group_size=2, temperature=1.0, max_new_tokens=8), seed=3)
    assert [[completion.token_ids.tolist() for completion in group] for group in groups] == SAMPLED
    assert [completion.finish_reason for completion in groups[2]] == ["stop", "length"]
