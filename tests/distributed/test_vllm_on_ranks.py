"""Two processes that sample with real vLLM: a copy on each rank, or one server for both."""

import pytest

from tests.distributed.conftest import outcomes_of
from tests.distributed.scenarios import VLLM_SCENARIOS
from tests.test_training import largest_difference

pytestmark = pytest.mark.vllm


def test_copies_under_ddp_and_fsdp2_and_one_server_for_both_ranks_give_the_same_run(root) -> None:
    ended = outcomes_of(root, list(VLLM_SCENARIOS))
    first, *others = (ended(name) for name in VLLM_SCENARIOS)
    # Rollouts before the first, second and third update came of the weights of each, gathered from the ranks.
    assert len(first["seen"]) == 4
    for name in VLLM_SCENARIOS:
        for rank in range(2):
            assert all(0.0 < step["engine/logp_gap_max"] < 1e-3 for step in ended(name, rank)["seen"]), name
    for other in others:
        assert largest_difference(first["weights"], other["weights"]) < 2e-4
