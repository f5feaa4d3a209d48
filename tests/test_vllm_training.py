"""Training with vLLM rollouts from the command line's own entry: real vLLM, on the CPU."""

import os
import signal
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from cli.app import run
from tests.test_training import RECORDED, arguments, logged_by, policy_folder  # noqa: F401  (a fixture)

pytestmark = pytest.mark.vllm

# The longest text is left at its default, which is more than this policy was made for.
SMALL = ("--model.engine.settings.cache_megabytes=64",)


class KillServer(Callback):
    """Kills the engine's server before the second rollout."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args) -> None:
        if trainer.global_step == 2:
            os.kill(pl_module.engine.process.pid, signal.SIGKILL)


def with_engine(policy_folder: Path, name: str, *extra: str) -> list[str]:  # noqa: F811
    return [*arguments("fit", policy_folder, *RECORDED), f"--config=configs/engines/{name}.yaml", *SMALL, *extra]


@pytest.mark.parametrize("name", ["vllm", "vllm_server"])
def test_the_first_step_after_sampling_has_ratio_one_and_every_rollout_logs_the_mismatch(policy_folder, name) -> None:  # noqa: F811
    steps = logged_by(run(with_engine(policy_folder, name)))
    assert len(steps) == 4
    for step in (steps[0], steps[2]):
        assert step["train/log_ratio_fresh"] == pytest.approx(0.0, abs=1e-4)
        assert step["train/clipped_fraction_fresh"] == 0.0
        assert 0.0 < step["engine/logp_gap_max"] < 1e-3
        assert step["engine/effective_sample_size"] == pytest.approx(1.0, abs=1e-3)
        assert step["engine/sync_seconds"] > 0.0
    # Adapter and language model learn, the tower does not: less goes over the second time.
    assert 0.0 < steps[2]["engine/sync_megabytes"] < steps[0]["engine/sync_megabytes"]


def test_a_run_whose_server_is_killed_ends_as_the_run_whose_server_was_not(policy_folder) -> None:  # noqa: F811
    runs = [
        run(with_engine(policy_folder, "vllm_server", *flags))
        for flags in ((), ("--callbacks.killer=tests.test_vllm_training.KillServer",))
    ]
    assert logged_by(runs[1])[-1]["engine/restarts"] == 1.0
    whole, killed = ([p.detach().clone() for p in cli.model.parameters()] for cli in runs)
    assert all(torch.equal(one, other) for one, other in zip(whole, killed, strict=True))


class KillServerInFlight(Callback):
    """Kills the engine's server as it is asked for the third rollout, before it can answer."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        engine = pl_module.engine
        start = engine.start

        def start_and_kill(*args, **kwargs) -> None:
            if trainer.global_step == 2:
                os.kill(engine.process.pid, signal.SIGKILL)
            start(*args, **kwargs)

        engine.start = start_and_kill


def test_a_server_samples_the_next_rollout_while_this_one_is_learnt_from(policy_folder) -> None:  # noqa: F811
    steps = logged_by(run(with_engine(policy_folder, "vllm_async", "--trainer.max_steps=6")))
    assert [step["rollout/staleness"] for step in steps[::2]] == [0.0, 2.0, 2.0]
    # As fresh as ever against the learner that starts, and behind by what was learnt since against the engine.
    for step in steps[::2]:
        assert step["train/log_ratio_fresh"] == pytest.approx(0.0, abs=1e-4)
    assert 0.0 < steps[0]["engine/logp_gap_max"] < 1e-3 < steps[2]["engine/stale_logp_gap_max"]


def test_a_rollout_whose_server_is_killed_is_sampled_again_by_the_present_weights(policy_folder) -> None:  # noqa: F811
    killer = "--callbacks.killer=tests.test_vllm_training.KillServerInFlight"
    steps = logged_by(run(with_engine(policy_folder, "vllm_async", "--trainer.max_steps=6", killer)))
    assert [step["rollout/staleness"] for step in steps[::2]] == [0.0, 2.0, 0.0]
    assert steps[-1]["engine/restarts"] == 1.0
