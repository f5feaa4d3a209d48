"""One of two processes that share weights by FSDP2 and read packed rows, and what each row alone would give."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor

from algorithms import Prompt
from models import Policy, Sharding
from models.parts import PARTS
from models.sharding import shard
from tests.models.families import FAMILIES, Stripes, family
from tests.models.per_sample import gradients, learn_by_lora, per_sample_logps

# Unequal work: a square picture and a wide one for the first rank, two pictures and none for the second.
_PICTURES = (((48, 48, 3),), ((96, 48, 5),)), (((40, 80, 7), (48, 48, 3)), ())
_QUESTIONS = ("how many red ?", "how many more red than blue ?"), ("how many <image> or <image> blue ?", "how many ?")
_ROWS = torch.tensor([1, 0, 0]), torch.tensor([0, 0, 1, 0])
KINDS = ("whole weights", "LoRA", "images kept")
BFLOAT16 = "bfloat16"


def read_by(rank: int) -> tuple[list[Prompt], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return prompts, rows, ids and mask of a rank."""
    prompts = [
        Prompt(uid=i, key=str(i), question=question, images=tuple(Stripes(*sizes) for sizes in pictures))
        for i, (question, pictures) in enumerate(zip(_QUESTIONS[rank], _PICTURES[rank], strict=True))
    ]
    ids = torch.randint(10, 40, (len(_ROWS[rank]), 6), generator=torch.Generator().manual_seed(rank))
    lengths = torch.tensor([6, 1, 4, 2])[: len(ids)]
    return prompts, _ROWS[rank], ids, torch.arange(6) < lengths[:, None]


def mean_over_ranks(policy: Policy) -> dict[str, torch.Tensor]:
    """Return the mean over ranks of the gradients of each row alone."""
    alone = [gradients(policy, per_sample_logps(policy, *read_by(rank), 1.0)) for rank in range(2)]
    # A rank that has no picture has no gradient of the tower, which counts as 0.
    zeros = {key: torch.zeros_like(gradient) for one in alone for key, gradient in one.items()}
    return {key: torch.stack([one.get(key, zero) for one in alone]).mean(0) for key, zero in zeros.items()}


def keep_images(policy: Policy) -> None:
    """Read what the first rank reads later on, and text on the second one, whose images are then not kept."""
    prompts, *rest = read_by(dist.get_rank())
    if dist.get_rank() == 1:
        prompts = [Prompt(uid=i, key=str(i), question="how many ?") for i in range(len(prompts))]
    policy.completion_scores(prompts, *rest)


def ways(name: str, kind: str, mesh: DeviceMesh) -> tuple[dict[str, torch.Tensor], ...]:
    """Return gradients of packed rows on two ranks, and those of each row alone; in bfloat16 these rounded, too."""
    policy: Policy = family(name)
    if kind == "LoRA":
        learn_by_lora(policy)
    else:
        policy.set_trainable(["adapter"] if kind == "images kept" else PARTS)
    expected = (mean_over_ranks(policy),)
    if kind == BFLOAT16:
        with torch.autocast("cpu", torch.bfloat16):
            expected += (mean_over_ranks(policy),)
    policy.recompute_activations()
    dtype = "bfloat16" if kind == BFLOAT16 else "float32"
    sharding = Sharding(mesh=mesh, device=torch.device("cpu"), param_dtype=dtype)
    shard(policy, policy.model, sharding, entry="completion_scores")
    policy.train()
    with policy.kept_images.open(policy.model) if kind == "images kept" else nullcontext():
        if kind == "images kept":
            keep_images(policy)
        packed = gradients(policy, policy.completion_scores(*read_by(dist.get_rank())).logps)
    return {key: g.full_tensor() if isinstance(g, DTensor) else g for key, g in packed.items()}, *expected


def main(root: Path) -> None:
    """Write ``FAMILY.KIND.RANK.pt`` for each family and kind."""
    torch.set_num_threads(1)
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for name in FAMILIES:
        for kind in (*KINDS, BFLOAT16):
            torch.save(ways(name, kind, mesh), root / f"{name}.{kind}.{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
