from collections.abc import Sequence

import torch

from algorithms import Completion, Prompt, RolloutGroup
from rollouts import RolloutEngine, SampledPolicy, SamplingConfig, dropout_ntp_pairs
from tests.conftest import Picture

SAMPLING = SamplingConfig(group_size=5, temperature=0.7, max_new_tokens=9)
END = 0


class Continues(RolloutEngine):
    """Says the same tokens after every prompt, and keeps what it was given."""

    def __init__(self, *token_ids: int) -> None:
        self.token_ids = list(token_ids)

    def sync(self, policy: SampledPolicy, *, version: int) -> None:
        pass

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        self.prompts, self.sampling, self.seed = list(prompts), sampling, seed
        return [[completion(self.token_ids)] for _ in prompts]


def completion(ids: list[int]) -> Completion:
    has_ended = ids[-1] == END
    return Completion(
        token_ids=torch.tensor(ids), behavior_logps=torch.zeros(len(ids)),
        text=decode(ids[:-1] if has_ended else ids), finish_reason="stop" if has_ended else "length",
    )  # fmt: skip


def decode(ids: list[int]) -> str:
    return " ".join(map(str, ids))


def group(*completions: list[int], question: str = "<image> how many ?", num_images: int = 1) -> RolloutGroup:
    prompt = Prompt(uid=3, key="3", question=question, images=(Picture((255, 0, 0)),) * num_images)
    zeros = torch.zeros(len(completions))
    return RolloutGroup(
        prompt=prompt, completions=[completion(ids) for ids in completions], parts={}, rewards=zeros, advantages=zeros
    )


def pairs(engine: RolloutEngine, *groups: RolloutGroup):
    return dropout_ntp_pairs(engine, decode, groups, sampling=SAMPLING, seed=11)


def test_the_first_ended_completion_is_continued_from_its_middle_without_the_image() -> None:
    engine = Continues(8, 9, END)
    (pair,) = pairs(engine, group([1, 2, 3], [4, 5, 6, 7, END], [1, END]))
    (blind,) = engine.prompts
    assert (blind.question, blind.images, blind.prefill) == ("how many ?", (), "4 5")
    assert (pair.chosen, pair.rejected, pair.kind, pair.rejected_ended) == ("4 5 6 7", "4 5 8 9", "dropout_ntp", True)
    assert pair.prompt.images


def test_every_completion_is_continued_once_and_otherwise_sampled_as_in_the_rollout() -> None:
    engine = Continues(8, END)
    pairs(engine, group([1, 2, END]))
    assert engine.sampling == SamplingConfig(group_size=1, temperature=0.7, max_new_tokens=9)
    assert engine.seed == 11


def test_a_continuation_that_was_cut_keeps_its_last_token_and_has_not_ended() -> None:
    (pair,) = pairs(Continues(8, 9), group([4, 5, 6, 7, END]))
    assert (pair.rejected, pair.rejected_ended) == ("4 5 8 9", False)


def test_a_continuation_that_repeats_the_completion_makes_no_pair() -> None:
    assert pairs(Continues(6, 7, END), group([4, 5, 6, 7, END])) == []


def test_prompts_without_images_or_without_an_ended_completion_make_no_pair_but_the_engine_is_called() -> None:
    engine = Continues(8, END)
    assert pairs(engine, group([1, END], question="how many ?", num_images=0), group([1, 2])) == []
    assert engine.prompts == []
