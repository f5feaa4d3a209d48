"""One of two processes that run scenarios one after another, in one process group, and write what came of each."""

import os
import sys
import time
from pathlib import Path

import torch

from algorithms import ConfigError
from cli.app import run
from models import stream_weights
from tests.distributed.scenarios import SCENARIOS, VLLM_SCENARIOS
from tests.test_training import Recorder


def outcome(arguments: list[str]) -> dict[str, object]:
    """Return what a run ended with, or the error that a user would see."""
    try:
        cli = run(arguments)
    except ConfigError as error:
        return {"error": str(error)}
    module = cli.model
    recorded = [callback.seen for callback in cli.trainer.callbacks if isinstance(callback, Recorder)]
    return {
        "weights": {name: tensor.clone() for name, tensor in stream_weights(module.policy.model)},
        "kept": sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in module.policy.parameters()),
        "seen": recorded[0] if recorded else [],
        "metrics": {name: float(value) for name, value in cli.trainer.callback_metrics.items()},
        "signals": module.signals.state_dict(),
        "reward": module.reward.state_dict(),
    }


def main(root: Path, names: list[str]) -> None:
    """Run the scenarios and write ``NAME.RANK.pt`` for each."""
    torch.set_num_threads(1)
    rank = os.environ["LOCAL_RANK"]
    for name in names:
        started = time.perf_counter()
        torch.save(outcome((SCENARIOS | VLLM_SCENARIOS)[name](root)), root / f"{name}.{rank}.pt")
        print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)  # noqa: T201
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
