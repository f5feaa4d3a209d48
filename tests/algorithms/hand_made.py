"""Small records built by hand for the tests of the algorithms."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from algorithms.experience_batch import ExperienceBatch, stack_completions
from algorithms.records import Completion


class Row(NamedTuple):
    """One sample before it is stacked."""

    uid: int
    completion: Completion
    advantage: float
    version: int


def row(uid: int, *, num_tokens: int = 2, advantage: float = 1.0, version: int = 0) -> Row:
    """Return a sample whose tokens and log-probs differ from those of any other uid."""
    tokens = torch.arange(1, num_tokens + 1)
    completion = Completion(
        token_ids=100 * uid + tokens, behavior_logps=-(uid + tokens / 16), text="", finish_reason="stop"
    )
    return Row(uid, completion, advantage, version)


def stacked(rows: Sequence[Row]) -> ExperienceBatch:
    """Return the samples as a batch; uids 0 and 1, 2 and 3, ... make a group."""
    uids = torch.tensor([each.uid for each in rows], dtype=torch.long)
    return stack_completions(
        [each.completion for each in rows],
        prompt_uids=uids,
        group_ids=uids // 2,
        advantages=torch.tensor([each.advantage for each in rows], dtype=torch.float32),
        policy_versions=torch.tensor([each.version for each in rows], dtype=torch.long),
    )


def batch(advantages: Sequence[float], *, first_uid: int = 0, version: int = 0) -> ExperienceBatch:
    """Return fresh rows with the given advantages, uids that count up, and lengths of 1, 2, 3, 1, 2, 3, ..."""
    return stacked(
        [
            row(first_uid + i, num_tokens=i % 3 + 1, advantage=advantage, version=version)
            for i, advantage in enumerate(advantages)
        ]
    )


def samples(
    behavior_logps: torch.Tensor, advantages: torch.Tensor, is_completion: torch.Tensor, **columns: torch.Tensor
) -> ExperienceBatch:
    """Return rows given by the tensors that a loss looks at."""
    num_rows = len(advantages)
    return ExperienceBatch(
        **{
            "prompt_uids": torch.arange(num_rows),
            "group_ids": torch.arange(num_rows),
            "completion_ids": torch.zeros(is_completion.shape, dtype=torch.long),
            "is_completion": is_completion,
            "behavior_logps": behavior_logps,
            "advantages": advantages,
            "policy_versions": torch.zeros(num_rows, dtype=torch.long),
            "is_replay": torch.zeros(num_rows, dtype=torch.bool),
            "weights": torch.ones(num_rows),
            **columns,
        }
    )


def assert_equal_batches(actual: ExperienceBatch, expected: ExperienceBatch) -> None:
    """Fail unless two batches hold exactly the same tensors."""
    left, right = actual.columns(), expected.columns()
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype, name
        assert torch.equal(left[name], right[name]), name
