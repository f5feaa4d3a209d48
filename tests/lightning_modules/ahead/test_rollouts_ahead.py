"""Training with one rollout ahead: whose weights sample, what a checkpoint holds, what is refused."""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as L
import pytest
from lightning.pytorch.callbacks import Callback

from algorithms import Completion, ConfigError, GRPOConfig, Prompt, position_seed
from cli.app import run
from experiments.ahead.slow_engine import SlowEngine
from lightning_modules import GRPOModule, LearningConfig
from models import PretrainedPolicy
from rewards import AccuracyReward, RewardPart, WeightedReward
from rollouts import RolloutPhase, TransformersEngine, VLLMEngine
from tests.cli.test_runs_stopped_by_a_signal import stopped
from tests.conftest import long, sharp_policy
from tests.test_training import RECORDED, arguments, largest_difference, logged_by, weights

HERE = "tests.lightning_modules.ahead.test_rollouts_ahead"
AHEAD = (
    "--model.init_args.engine=experiments.ahead.slow_engine.SlowEngine", "--model.init_args.rollouts_ahead=1",
    "--model.init_args.grpo.engine_ratio_cap=2.0", "--data.init_args.buffer={capacity: 64, max_age: 4}",
)  # fmt: skip
STEPS = 2  # optimizer steps of a rollout
PHASES = f"--callbacks.phases={HERE}.Phases"


def ahead(policy_folder: Path, *extra: str) -> list[str]:
    return arguments("fit", policy_folder, *AHEAD, "--trainer.max_steps=8", "--trainer.limit_val_batches=0", *extra)


def stopped_at(policy_folder: Path, step: int) -> str:
    """Run for so many steps, and return the flag that goes on from there."""
    checkpoints = policy_folder.parent / f"checkpoints-{step}"
    saving = (
        "--trainer.enable_checkpointing=true", f"--trainer.max_steps={step}",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", f"--callbacks.checkpoint.dirpath={checkpoints}",
        "--callbacks.checkpoint.every_n_train_steps=1",
    )  # fmt: skip
    run(ahead(policy_folder, *saving))
    return f"--ckpt_path={checkpoints}/step={step}.ckpt"


def texts(groups: Sequence[Sequence[Completion]]) -> list[list[str]]:
    return [[completion.text for completion in group] for group in groups]


class Phases(Callback):
    """Keeps every rollout, and the micro-batches that were made of it."""

    def __init__(self) -> None:
        self.seen: list[RolloutPhase] = []
        self.learnt: list[list[Any]] = []

    def on_rollout_end(self, trainer: L.Trainer, pl_module: Any, phase: RolloutPhase) -> None:
        self.seen.append(phase)
        self.learnt.append(list(pl_module.micro_batches))


def phases_of(cli: Any) -> Any:
    return next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "Phases")


class Interlocked(SlowEngine):
    """Lets no rollout in flight end before the learner has taken its last step on the one before."""

    has_learnt = threading.Event()

    def _sample(self, *args: Any) -> Any:
        # The main thread does not wait for itself: it samples the first rollout.
        if threading.current_thread() is not threading.main_thread():
            assert self.has_learnt.wait(60), "the learner waits for the engine, and the engine for the learner"
            self.has_learnt.clear()
        return super()._sample(*args)


class LastStep(Callback):
    """Says that the learner has taken its last step on a rollout."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs, batch, *args) -> None:
        if batch.micro == STEPS - 1:
            Interlocked.has_learnt.set()


class InFlight:
    """A reward that notes whether the engine samples while it scores."""

    noted: ClassVar[list[bool]] = []

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        self.noted.append("rollout in flight" in [thread.name for thread in threading.enumerate()])
        return [float(int(c.token_ids.sum()) % 2 == 0) for c in completions]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy, and room for runs beside it."""
    path, policy = tmp_path_factory.mktemp("ahead") / "policy", sharp_policy()
    policy.model.save_pretrained(path)
    policy.processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def straight(folder: Path) -> Any:
    """Four rollouts, each in flight until the one before has been learnt from; several tests look at them."""
    return run(
        ahead(folder, f"--model.init_args.engine={HERE}.Interlocked", f"--callbacks.last={HERE}.LastStep",
              f"--model.init_args.reward.parts.even.reward={HERE}.InFlight", PHASES, *RECORDED)
    )  # fmt: skip


def test_rewards_are_computed_and_steps_taken_while_the_next_rollout_is_sampled(straight: Any) -> None:
    # With an engine that waits for the learner, a learner that waited for the engine would never have come here.
    assert straight.trainer.global_step == 8
    assert InFlight.noted == [True] * 4


def test_a_rollout_is_sampled_by_the_weights_that_learn_from_the_one_before_it(straight: Any, folder: Path) -> None:
    kept, module = phases_of(straight), straight.model
    assert [phase.policy_version for phase in kept.seen] == [0, 0, STEPS, 2 * STEPS]
    assert [step["rollout/staleness"] for step in logged_by(straight)[::STEPS]] == [0.0, STEPS, STEPS, STEPS]
    # Rollouts 0 and 1 are by the starting weights, each with the prompts and the seed of its place.
    engine = TransformersEngine()
    engine.sync(PretrainedPolicy(str(folder)).build(), version=0)
    for number in (0, 1):
        phase, seed = kept.seen[number], position_seed(module.seed, "rollout", number, 0, 0)
        assert texts(engine.generate(phase.prompts, module.sampling, seed=seed)) == texts(phase.completions)
        assert list(phase.prompts) == list(straight.datamodule.rollout_prompts(number))


def test_samples_keep_the_version_and_the_log_probs_that_sampled_them_and_are_replayed_by_that_age(
    straight: Any,
) -> None:
    kept, num_replayed = phases_of(straight), 0
    for number, (phase, parts) in enumerate(zip(kept.seen, kept.learnt, strict=True)):
        sampled = {c.behavior_logps.tolist()[0] for group in phase.completions for c in group}
        for step, part in enumerate(parts):
            fresh = part.rows(~part.is_replay)
            assert set(fresh.policy_versions.tolist()) <= {phase.policy_version}
            assert {logps[0] for logps in fresh.engine_logps.tolist()} <= sampled
            ages = number * STEPS + step - part.policy_versions[part.is_replay]
            # 4 is max_age, and a sample is two rollouts old before another one can replay it.
            assert ages.tolist() == [4] * len(ages)
            num_replayed += len(ages)
    assert num_replayed > 0


def test_ratios_start_at_one_and_what_the_engine_is_behind_is_told_apart(straight: Any) -> None:
    steps = logged_by(straight)
    # Where the first micro-batch has fresh samples; a metric stays until it is logged again.
    firsts = [not parts[0].is_replay.all() for parts in phases_of(straight).learnt]
    assert sum(firsts[1:]) > 0
    for step in [steps[STEPS * number] for number, has_fresh in enumerate(firsts) if has_fresh]:
        assert abs(step["train/log_ratio_fresh"]) < 1e-4
        assert step["train/clipped_fraction_fresh"] == 0.0
    assert steps[0]["engine/logp_gap_max"] < 1e-4
    assert "engine/stale_logp_gap_max" not in steps[0]
    assert steps[-1]["engine/stale_logp_gap_max"] > 1e-3
    assert 0.0 < steps[-1]["engine/stale_effective_sample_size"] < 1.0
    assert 0.0 <= steps[-1]["engine/stale_capped_fraction"] < 0.5


def test_both_waiting_shares_of_a_rollout_are_logged(straight: Any) -> None:
    last = logged_by(straight)[-1]
    assert 0.0 < last["time/learner_idle_fraction"] < 1.0
    assert 0.0 <= last["time/engine_idle_fraction"] < 1.0


@pytest.mark.parametrize("step", [long(1), long(2), 3, long(4)])
def test_a_resumed_run_ends_with_the_weights_of_one_never_stopped(straight: Any, folder: Path, step: int) -> None:
    # The rollout in flight is in the checkpoint, whole: the weights that sampled it are nowhere any more.
    resumed = run(ahead(folder, stopped_at(folder, step)))
    assert largest_difference(weights(straight), weights(resumed)) == 0.0


@pytest.mark.long
def test_validation_between_two_rollouts_changes_nothing(straight: Any, folder: Path) -> None:
    validated = run(ahead(folder, "--trainer.limit_val_batches=1", "--trainer.val_check_interval=1"))
    assert largest_difference(weights(straight), weights(validated)) == 0.0


@pytest.mark.long
def test_a_rollout_sampled_ahead_is_learnt_from_also_by_a_run_that_samples_no_more_ahead(folder: Path) -> None:
    resumed = run(ahead(folder, stopped_at(folder, 2), "--model.init_args.rollouts_ahead=0", PHASES))
    assert [phase.policy_version for phase in phases_of(resumed).seen] == [0, 4, 6]


@pytest.mark.long
@pytest.mark.parametrize(
    # Ctrl-C stops at once, whatever is in flight; SIGTERM at the next batch, as in a run without rollouts ahead.
    ("number", "status", "seconds"),
    [(signal.SIGINT, 130, 3600.0), (signal.SIGTERM, 143, 5.0)],
)
def test_a_run_that_is_stopped_while_the_engine_samples_ends_with_the_status_of_the_signal(
    folder: Path, number: signal.Signals, status: int, seconds: float
) -> None:
    began = folder.parent / f"began-{number}"
    engine = f"--model.init_args.engine={{class_path: {HERE}.Pausing, init_args: {{began: {began}, pause: {seconds}}}}}"
    code, errors = stopped(ahead(folder, engine, "--trainer.max_steps=1000"), number, began.exists)
    assert code == status, errors
    assert "Traceback" not in errors


class Pausing(SlowEngine):
    """Takes its time once a rollout is in flight."""

    def __init__(self, began: str, pause: float) -> None:
        super().__init__()
        self.began, self.pause = Path(began), pause

    def start(self, *args: Any, **kwargs: Any) -> None:
        self.seconds = self.pause
        super().start(*args, **kwargs)
        self.began.touch()


class Broken(SlowEngine):
    def start(self, *args: Any, **kwargs: Any) -> None:
        self.seconds = -1.0
        super().start(*args, **kwargs)

    def _sample(self, *args: Any) -> Any:
        if self.seconds < 0.0:
            raise RuntimeError("the engine broke in its thread")
        return super()._sample(*args)


@pytest.mark.long
def test_an_error_of_the_engine_while_the_learner_learns_stops_the_run(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="broke in its thread"):
        run(ahead(folder, f"--model.init_args.engine={HERE}.Broken"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollouts_ahead": 2}, r"^model\.rollouts_ahead must be 0 or 1, got 2"),
        ({"rollouts_ahead": -1}, r"^model\.rollouts_ahead must be 0 or 1, got -1"),
        (
            {"engine": TransformersEngine()},
            r"^model\.rollouts_ahead must be 0 with TransformersEngine, got 1.*vllm_async",
        ),
        ({"engine": VLLMEngine()}, r"^model\.rollouts_ahead must be 0 with VLLMEngine, got 1"),
        ({"grpo": GRPOConfig()}, r"^model\.grpo\.engine_ratio_cap must be a number .*, got null"),
        ({"max_attempts": 3}, r"^model\.max_attempts must be 1 with model\.rollouts_ahead 1, got 3"),
    ],
)
def test_settings_that_do_not_go_with_a_rollout_ahead_are_refused_with_a_sentence(
    settings: dict[str, Any], message: str
) -> None:
    good = {"rollouts_ahead": 1, "engine": SlowEngine(), "grpo": GRPOConfig(engine_ratio_cap=2.0), "max_attempts": 1}
    reward = WeightedReward({"accuracy": RewardPart(AccuracyReward())})
    GRPOModule(PretrainedPolicy("unused"), LearningConfig(), reward=reward, **good)
    with pytest.raises(ConfigError, match=message):
        GRPOModule(PretrainedPolicy("unused"), LearningConfig(), reward=reward, **(good | settings))
