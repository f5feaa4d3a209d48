"""Runs with LoRA from the command line's own entry, killed and gone on with: real vLLM, on the CPU."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.app import run
from rollouts.vllm.guard.run_token import write_token
from rollouts.vllm.server_process import ServerProcess
from tests.conftest import sharp_policy
from tests.killed_runs import run_apart
from tests.test_training import RECORDED, arguments, largest_difference, logged_by, weights

pytestmark = pytest.mark.vllm

STEPS = 6  # three rollouts of two
LORA = ("--model.init_args.learning.trainable=[adapter]", "--model.init_args.learning.lora.rank=4")
APART = "--model.engine.settings.lora=adapter"
# Overlay and further flags of each way.
WAYS = {
    "in the same process": ("vllm", APART),
    "on a server": ("vllm_server", APART),
    "one ahead": ("vllm_async", APART),
    "by vLLM's transfer": ("vllm_transfer",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy, and room for runs beside it."""
    path, policy = tmp_path_factory.mktemp("adapter-runs") / "policy", sharp_policy()
    policy.model.save_pretrained(path)
    policy.processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def at_server(folder: Path) -> Iterator[list[str]]:
    """Flags that name a server, which many runs use one after the other."""
    process = ServerProcess(allows_transfer=True)
    token_file = folder.parent / "token"
    write_token(token_file, process.token)
    yield [f"--model.engine.url={process.url}", f"--model.engine.token_file={token_file}"]
    process.stop()


def flags(folder: Path, way: str, *extra: str) -> list[str]:
    overlay, *more = WAYS[way]
    return arguments(
        "fit", folder, *RECORDED, f"--trainer.max_steps={STEPS}", f"--config=configs/engines/{overlay}.yaml",
        "--model.engine.settings.cache_megabytes=64", *LORA, *more, *extra,
    )  # fmt: skip


def kept_in(folder: Path, name: str) -> list[str]:
    """Flags with which a run keeps a checkpoint of every step, and goes on from the newest."""
    return [
        "--trainer.enable_checkpointing=true", "--callbacks.checkpoint=callbacks.StepCheckpoint",
        f"--callbacks.checkpoint.dirpath={folder.parent / name}", "--callbacks.checkpoint.every_n_train_steps=1",
        "--ckpt_path=last",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def straight(folder: Path, at_server: list[str]) -> Any:
    """Return runs that were never stopped, each made when it is first asked for."""
    made: dict[str, Any] = {}

    def of(way: str) -> Any:
        if way not in made:
            made[way] = run(flags(folder, way, *([] if way == "in the same process" else at_server)))
        return made[way]

    return of


def learning_megabytes(module: Any) -> float:
    return sum(p.numel() * p.element_size() for p in module.policy.parameters() if p.requires_grad) / 2**20


@pytest.mark.parametrize("way", ["in the same process", "on a server"])
def test_lora_beside_the_weights_trains_and_each_update_hands_over_what_learns_alone(straight, folder, way) -> None:
    cli = straight(way)
    steps = logged_by(cli)
    assert len(steps) == STEPS
    for first in steps[::2]:
        assert first["train/log_ratio_fresh"] == pytest.approx(0.0, abs=1e-4)
        assert first["train/clipped_fraction_fresh"] == 0.0
        assert 0.0 < first["engine/logp_gap_max"] < 1e-3
    assert steps[0]["engine/sync_megabytes"] > 2 * learning_megabytes(cli.model)
    assert steps[2]["engine/sync_megabytes"] == steps[4]["engine/sync_megabytes"] == learning_megabytes(cli.model)
    # Those of peft start at 0.
    assert all(p.any() for name, p in cli.model.policy.named_parameters() if ".lora_B." in name)


def test_where_vllm_runs_changes_no_weight(straight) -> None:
    one, other = (weights(straight(way)) for way in ("in the same process", "on a server"))
    assert largest_difference(one, other) == 0.0


# Not in turns on a server, of which each of the other two has a half.
@pytest.mark.parametrize("way", [way for way in WAYS if way != "on a server"])
def test_a_run_that_was_killed_and_resumed_ends_with_the_weights_of_one_never_stopped(
    straight, folder: Path, at_server: list[str], way: str
) -> None:
    whole = straight(way)
    where = [] if way == "in the same process" else at_server
    saved = kept_in(folder, way.replace(" ", "-").replace("'", ""))
    # After the first of two steps on the second rollout; one ahead, the third one is in flight by then.
    killer = [
        "--callbacks.killer=tests.killed_runs.KilledAt", "--callbacks.killer.moment=backward",
        "--callbacks.killer.batch=3", f"--callbacks.killer.starts={folder.parent / 'starts'}",
    ]  # fmt: skip
    assert run_apart([*flags(folder, way, *where, *saved), *killer], folder.parent / "none.pt") == -signal.SIGKILL
    # One way goes on with a server that it starts itself.
    resumed = run(flags(folder, way, *([] if way == "by vLLM's transfer" else where), *saved))
    steps = logged_by(resumed)
    assert len(steps) == STEPS - 3
    # vLLM began anew, so it got everything again.
    assert steps[-1]["engine/sync_megabytes"] == logged_by(whole)[0]["engine/sync_megabytes"]
    assert largest_difference(weights(whole), weights(resumed)) == 0.0
    assert all(torch.isfinite(tensor).all() for tensor in weights(resumed).values())
