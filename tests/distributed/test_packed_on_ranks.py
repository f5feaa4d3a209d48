"""Packed rows on two FSDP2 ranks have the gradient of every completion read alone, in every family of models."""

from pathlib import Path

import pytest
import torch

from tests.distributed.conftest import run_pair
from tests.distributed.packed_worker import BFLOAT16, KINDS
from tests.models.families import FAMILIES
from tests.models.per_sample import assert_same

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp("packed")
    run_pair(folder, [], worker="tests.distributed.packed_worker")
    return folder


@pytest.mark.parametrize("rank", range(2))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAMILIES)
def test_recomputed_packed_rows_have_the_mean_gradient_of_rows_read_alone(
    folder: Path, name: str, kind: str, rank: int
) -> None:
    packed, alone = torch.load(folder / f"{name}.{kind}.{rank}.pt")
    assert len(alone) > (2 if kind == "images kept" else 10)
    assert_same(packed, alone)


@pytest.mark.parametrize("rank", range(2))
@pytest.mark.parametrize("name", FAMILIES)
def test_weights_gathered_in_bfloat16_cost_a_packed_row_little_more_than_each_row_alone_is_rounded(
    folder: Path, name: str, rank: int
) -> None:
    packed, alone, rounded = (
        torch.cat([one[key].flatten().float() for key in sorted(one)])
        for one in torch.load(folder / f"{name}.{BFLOAT16}.{rank}.pt")
    )
    # Under autocast norms and residuals stay in 32 bits, which gathered weights and what they compute do not.
    assert 1e-4 < (packed - alone).norm() < 3.0 * (rounded - alone).norm()
