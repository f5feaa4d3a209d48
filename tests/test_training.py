"""Tiny runs from the command line's own entry, with a random policy, so that each takes seconds."""

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from algorithms import Completion, ConfigError, Prompt
from cli.app import run
from models import Policy, PretrainedPolicy
from tests.conftest import long


@pytest.fixture
def policy_folder(policy: Policy, tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    policy.model.save_pretrained(folder)
    policy.processor.save_pretrained(folder)
    return folder


def arguments(command: str, policy_folder: Path, *extra: str) -> list[str]:
    root = policy_folder.parent
    return [
        command, "--config=configs/tiny/grpo.yaml",
        f"--model.init_args.policy.path={policy_folder}",
        f"--data.init_args.source.root={root}/data",
        "--data.init_args.source.num_train=24", "--data.init_args.source.num_val=6",
        "--data.init_args.source.num_test=6", "--data.init_args.prompts_per_rollout=4",
        "--model.init_args.sampling.group_size=4", "--model.init_args.sampling.max_new_tokens=10",
        "--model.init_args.evaluation.num_samples=4", "--model.init_args.evaluation.pass_at=[2]",
        "--model.init_args.learning.optimizer.learning_rate=1e-3",
        # A random policy is never right: what it is rewarded for must be something it sometimes does.
        "--model.init_args.reward.parts.even.reward=tests.test_training.EvenIsGood",
        "--trainer.max_steps=4", "--trainer.val_check_interval=4", f"--trainer.default_root_dir={root}",
        f"--trainer.logger.save_dir={root}", "--trainer.enable_progress_bar=false", "--callbacks.progress=null", *extra,
    ]  # fmt: skip


class EvenIsGood:
    """1 for every other completion, so to speak: any policy gets mixed groups."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [float(int(c.token_ids.sum()) % 2 == 0) for c in completions]


class Recorder(Callback):
    """Keeps the value of every metric after every training step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: L.Trainer, *args) -> None:
        self.seen.append({k: float(v) for k, v in trainer.callback_metrics.items()})


class Gradients(Callback):
    """Keeps the gradient of the first optimizer step."""

    def __init__(self) -> None:
        self.first: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer) -> None:
        named = {name: p.grad.clone() for name, p in pl_module.named_parameters() if p.grad is not None}
        self.first = self.first or named


def first_gradient(cli) -> dict[str, torch.Tensor]:
    return next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "Gradients").first


def weights(cli) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in cli.model.policy.model.state_dict().items()}


def starting_weights(policy_folder: Path) -> dict[str, torch.Tensor]:
    return PretrainedPolicy(str(policy_folder)).build().model.state_dict()


def largest_difference(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(policy_folder: Path) -> None:
    first, again = (weights(run(arguments("fit", policy_folder))) for _ in range(2))
    other = weights(run(arguments("fit", policy_folder, "--seed_everything=1")))
    assert largest_difference(first, again) == 0.0
    assert largest_difference(first, other) > 0.0


def test_the_first_update_after_sampling_has_ratio_one_and_clips_nothing(policy_folder: Path) -> None:
    cli = run(arguments("fit", policy_folder, "--callbacks.recorder=tests.test_training.Recorder"))
    recorder = next(c for c in cli.trainer.callbacks if type(c).__name__ == "Recorder")
    fresh = recorder.seen[0]
    assert abs(fresh["train/log_ratio_fresh"]) < 1e-4
    assert fresh["train/clipped_fraction_fresh"] == 0.0
    assert fresh["rollout/effective_fraction"] > 0.0


@pytest.mark.parametrize("average", ["sequence", "token", "constant"])
def test_splitting_a_rollout_into_micro_batches_does_not_change_the_gradient(policy_folder: Path, average: str) -> None:
    flags = (
        "--trainer.max_steps=1", "--trainer.gradient_clip_val=null", "--trainer.limit_val_batches=0",
        f"--model.init_args.grpo.average={average}", "--callbacks.gradients=tests.test_training.Gradients",
    )  # fmt: skip
    whole = first_gradient(run(arguments("fit", policy_folder, *flags, "--data.init_args.micro_batches=1")))
    split = first_gradient(
        run(
            arguments("fit", policy_folder, *flags, "--data.init_args.micro_batches=4",
                      "--trainer.accumulate_grad_batches=4")
        )
    )  # fmt: skip
    largest = max(gradient.abs().max().item() for gradient in whole.values())
    assert largest_difference(whole, split) < 1e-5 * largest


@pytest.mark.parametrize("killed_after", [long(1), 2, long(3)])
def test_a_resumed_run_ends_with_the_weights_of_one_never_stopped(policy_folder: Path, killed_after: int) -> None:
    # Two micro-batches per rollout: 1 and 3 are in the middle of one.
    straight = weights(run(arguments("fit", policy_folder)))
    checkpoints = policy_folder.parent / "checkpoints"
    saving = (
        "--trainer.enable_checkpointing=true", f"--trainer.max_steps={killed_after}",
        "--callbacks.checkpoint=lightning.pytorch.callbacks.ModelCheckpoint",
        f"--callbacks.checkpoint.dirpath={checkpoints}", "--callbacks.checkpoint.every_n_train_steps=1",
        "--callbacks.checkpoint.filename={step}", "--callbacks.checkpoint.save_top_k=-1",
    )  # fmt: skip
    run(arguments("fit", policy_folder, *saving))
    torch.rand(100)  # nothing may depend on the global generator
    resumed = run(arguments("fit", policy_folder, f"--ckpt_path={checkpoints}/step={killed_after}.ckpt"))
    assert largest_difference(straight, weights(resumed)) == 0.0


def test_only_the_named_part_learns(policy_folder: Path) -> None:
    cli = run(arguments("fit", policy_folder, "--model.init_args.learning.trainable=[adapter]"))
    start = starting_weights(policy_folder)
    changed = {n for n, t in weights(cli).items() if not torch.equal(t, start[n])}
    assert changed
    assert all("multi_modal_projector" in name for name in changed)


def test_validation_reports_every_promised_metric(policy_folder: Path) -> None:
    metrics = run(arguments("validate", policy_folder)).trainer.callback_metrics
    promised = {"greedy_accuracy", "sampled_accuracy", "pass_at_2", "format_rate", "hallucination_rate"}
    assert {f"val/{name}" for name in promised} <= set(metrics)


def test_micro_batches_that_do_not_divide_by_accumulation_are_refused(policy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.micro_batches must be a multiple of trainer.accumulate_grad_batches"):
        run(arguments("fit", policy_folder, "--trainer.accumulate_grad_batches=3"))


def logged_by(cli) -> list[dict[str, float]]:
    return next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "Recorder").seen


RECORDED = ("--callbacks.recorder=tests.test_training.Recorder", "--trainer.limit_val_batches=0")


@pytest.mark.parametrize(
    "overlay",
    ["dr_grpo", "no_ssb", *(long(name) for name in ("dapo", "gspo", "cispo", "uniform_replay", "dynamic_sampling"))],
)
def test_every_ablation_of_the_objective_trains(policy_folder: Path, overlay: str) -> None:
    (file,) = Path("configs/ablations").rglob(f"{overlay}.yaml")
    flags = (f"--config={file}", *RECORDED, "--model.init_args.grpo.mask_truncated=false")
    cli = run(arguments("fit", policy_folder, *flags))
    assert largest_difference(weights(cli), starting_weights(policy_folder)) > 0.0
    assert cli.model.reference is None
    assert all(torch.isfinite(torch.tensor(step["train/loss"])) for step in logged_by(cli))


@pytest.mark.long
def test_dynamic_sampling_tries_further_prompts_until_the_batch_is_full_and_counts_them(policy_folder: Path) -> None:
    # Groups of two are mixed half of the time.
    flags = ("--model.init_args.sampling.group_size=2", "--data.init_args.buffer.capacity=0", *RECORDED)
    once = logged_by(run(arguments("fit", policy_folder, *flags)))
    often = logged_by(run(arguments("fit", policy_folder, *flags, "--model.init_args.max_attempts=6")))
    assert once[-1]["rollout/completions_so_far"] == 2 * 4 * 2
    assert often[-1]["rollout/completions_so_far"] > once[-1]["rollout/completions_so_far"]
    assert once[0]["buffer/batch_samples"] < 8
    assert often[0]["buffer/batch_samples"] == 8


def test_a_preference_score_does_not_make_a_group_effective_but_is_logged_as_if_it_would(policy_folder: Path) -> None:
    taste = ("--model.init_args.reward.parts.taste.reward=tests.test_exact_resume.Length",
             "--model.init_args.reward.parts.taste.weight=0.1")  # fmt: skip
    first = logged_by(
        run(arguments("fit", policy_folder, *taste, *RECORDED, "--model.init_args.sampling.group_size=2"))
    )[0]
    assert first["rollout/effective_fraction"] < first["rollout/effective_fraction_total"]
    assert first["rollout/taste_std_within_group"] > 0.0


@pytest.mark.long
def test_the_kl_penalty_starts_at_zero_and_holds_the_policy_back(policy_folder: Path) -> None:
    flags = (*RECORDED, "--trainer.max_steps=10", "--trainer.val_check_interval=10")
    free, held = (
        [step["train/kl_fresh"] for step in logged_by(run(arguments("fit", policy_folder, *flags, weight)))]
        for weight in ("--model.init_args.grpo.kl_weight=1e-9", "--model.init_args.grpo.kl_weight=20.0")
    )
    assert free[0] == held[0] == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < held[-1] < 0.5 * free[-1]


def test_learner_and_engine_agree_so_that_truncated_importance_sampling_changes_nothing(policy_folder: Path) -> None:
    trusted = run(arguments("fit", policy_folder, *RECORDED, "--trainer.max_steps=1"))
    checked = run(
        arguments(
            "fit", policy_folder, *RECORDED, "--trainer.max_steps=1", "--model.init_args.grpo.engine_ratio_cap=2.0"
        )
    )
    assert logged_by(checked)[0]["engine/logp_gap_max"] < 1e-4
    assert logged_by(checked)[0]["engine/effective_sample_size"] == pytest.approx(1.0, abs=1e-4)
    assert logged_by(checked)[0]["train/loss"] == pytest.approx(logged_by(trusted)[0]["train/loss"], abs=1e-4)


def test_completions_cut_at_the_limit_teach_nothing_when_masked(policy_folder: Path) -> None:
    # With ten tokens every completion of this policy is cut.
    cli = run(arguments("fit", policy_folder, *RECORDED, "--model.init_args.grpo.mask_truncated=true"))
    assert logged_by(cli)[0]["rollout/truncated_fraction"] > 0.9
    assert logged_by(cli)[0]["buffer/batch_samples"] < 2
