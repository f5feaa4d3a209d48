"""Mixed Preference Optimization from the command line's own entry, with a random policy, so that each takes seconds."""

import json
from pathlib import Path

import pytest
import torch

from algorithms import ConfigError, DataError
from cli.app import run
from models import Policy
from tests.conftest import long
from tests.test_training import Recorder, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]

ONLINE = (
    "--data=datamodules.OnlinePreferenceDataModule", "--data.init_args.prompts_per_refresh=4",
    "--data.init_args.refresh_every=3", "--data.init_args.selection.kinds=[reward_model]",
    "--data.init_args.selection.threshold=0.5", "--data.init_args.source=datamodules.ShapesFolder",
    "--data.init_args.score_part=even", "--model.init_args.reward.parts.even.reward=tests.test_training.EvenIsGood",
    "--model.init_args.reference=lightning_modules.FrozenCopyReference",
    # A random policy seldom ends its turn, and what has no end is never chosen.
    "--model.init_args.sampling.max_new_tokens=48", "--model.init_args.sampling.group_size=8",
)  # fmt: skip
OFFLINE = (
    "--data.init_args.pairs=datamodules.ShapesPairs", "--data.init_args.pairs.init_args.num_train=40",
    "--data.init_args.pairs.init_args.num_val=6", "--data.init_args.selection.kinds=[]",
)  # fmt: skip


def arguments(policy_folder: Path, *extra: str, data: tuple[str, ...] = OFFLINE) -> list[str]:
    root = policy_folder.parent
    roots = [f"--data.init_args.source.root={root}/data"]
    if data is OFFLINE:
        roots.append(f"--data.init_args.pairs.init_args.root={root}/data")
    return [
        "fit", "--config=configs/tiny/mpo.yaml", f"--model.init_args.policy.path={policy_folder}",
        "--model.init_args.sampling.max_new_tokens=10", "--model.init_args.sampling.group_size=4", *data, *roots,
        "--data.init_args.source.num_train=24", "--data.init_args.source.num_val=6",
        "--data.init_args.source.num_test=6", "--data.init_args.pairs_per_batch=8",
        "--model.init_args.evaluation.num_samples=4", "--model.init_args.evaluation.pass_at=[2]",
        "--model.init_args.learning.optimizer.learning_rate=1e-3",
        "--model.init_args.learning.optimizer.warmup_steps=0",
        "--trainer.max_steps=4", "--trainer.val_check_interval=4", f"--trainer.default_root_dir={root}",
        f"--trainer.logger.save_dir={root}", "--trainer.enable_progress_bar=false", "--callbacks.progress=null",
        "--callbacks.recorder=tests.test_training.Recorder", *extra,
    ]  # fmt: skip


def recorded(cli) -> list[dict[str, float]]:
    return next(callback for callback in cli.trainer.callbacks if isinstance(callback, Recorder)).seen


@pytest.fixture
def no_validation() -> tuple[str, ...]:
    return ("--trainer.limit_val_batches=0",)


def test_at_the_first_step_policy_and_reference_agree(policy_folder: Path, no_validation) -> None:
    first = recorded(run(arguments(policy_folder, *no_validation)))[0]
    assert first["train/chosen_reward"] == pytest.approx(0.0, abs=1e-4)
    assert first["train/rejected_reward"] == pytest.approx(0.0, abs=1e-4)
    assert first["train/reward_shift"] == pytest.approx(0.0, abs=1e-4)
    assert first["train/preference_loss"] == pytest.approx(0.693147, abs=1e-4)
    assert first["train/quality_loss"] == pytest.approx(1.386294, abs=1e-4)


def test_learning_on_pairs_widens_the_margin_and_moves_the_shift(policy_folder: Path, no_validation) -> None:
    last = recorded(run(arguments(policy_folder, "--trainer.max_steps=12", *no_validation)))[-1]
    assert last["train/margin"] > 0.05
    assert last["train/preference_accuracy"] > 0.5
    assert last["train/reward_shift"] != 0.0


@pytest.mark.parametrize("data", [long(OFFLINE, name="files"), pytest.param(ONLINE, id="rollouts")])
@pytest.mark.parametrize("killed_after", [long(1), 3, long(5)])
def test_a_resumed_run_ends_with_the_weights_of_one_never_stopped(policy_folder: Path, killed_after: int, data) -> None:
    constant = (
        "--trainer.max_steps=6", "--trainer.val_check_interval=6", "--model.init_args.learning.optimizer.cosine=false",
    )  # fmt: skip
    checkpoints = policy_folder.parent / "checkpoints"
    saving = (
        "--trainer.enable_checkpointing=true", f"--trainer.max_steps={killed_after}",
        "--callbacks.checkpoint=lightning.pytorch.callbacks.ModelCheckpoint",
        f"--callbacks.checkpoint.dirpath={checkpoints}", "--callbacks.checkpoint.every_n_train_steps=1",
        "--callbacks.checkpoint.filename={step}", "--callbacks.checkpoint.save_top_k=-1",
        "--model.init_args.learning.optimizer.cosine=false",
    )  # fmt: skip
    straight = run(arguments(policy_folder, *constant, data=data))
    run(arguments(policy_folder, *saving, data=data))
    torch.rand(100)  # nothing may depend on the global generator
    resumed = run(arguments(policy_folder, *constant, f"--ckpt_path={checkpoints}/step={killed_after}.ckpt", data=data))
    assert largest_difference(weights(straight), weights(resumed)) == 0.0
    assert resumed.model.shift.value.item() == straight.model.shift.value.item() != 0.0


def test_reading_a_batch_in_parts_changes_neither_the_shift_nor_the_update(policy_folder: Path, no_validation) -> None:
    whole = run(arguments(policy_folder, *no_validation))
    parts = run(arguments(policy_folder, *no_validation, "--model.init_args.pairs_per_forward=3"))
    # Through Adam's normalisation, so gradients near zero are let off.
    assert largest_difference(weights(whole), weights(parts)) < 2e-4
    assert parts.model.shift.value.item() == pytest.approx(whole.model.shift.value.item(), rel=1e-3)


def test_accumulation_gives_the_update_of_the_whole_batch(policy_folder: Path, no_validation) -> None:
    # Without shift: its running mean would be taken over half a batch, then over the whole.
    flags = (*no_validation, "--trainer.max_steps=2", "--model.init_args.mpo.reward_shift=none")
    whole = run(arguments(policy_folder, *flags))
    halves = run(
        arguments(policy_folder, *flags, "--data.init_args.pairs_per_batch=4", "--trainer.accumulate_grad_batches=2")
    )
    assert largest_difference(weights(whole), weights(halves)) < 2e-4


@pytest.mark.long
def test_cached_and_copied_references_give_the_same_weights(policy_folder: Path, no_validation) -> None:
    cached = run(arguments(policy_folder, *no_validation))
    copied = run(
        arguments(policy_folder, *no_validation, "--model.init_args.reference=lightning_modules.FrozenCopyReference")
    )
    assert largest_difference(weights(cached), weights(copied)) < 2e-5


@pytest.mark.long
def test_switching_lora_off_is_the_reference_too(policy_folder: Path, no_validation) -> None:
    lora = (*no_validation, "--model.init_args.learning.trainable=[]", "--model.init_args.learning.lora.rank=4")
    cached = run(arguments(policy_folder, *lora))
    off = run(arguments(policy_folder, *lora, "--model.init_args.reference=lightning_modules.LoRAOffReference"))
    for one, other in zip(recorded(cached), recorded(off), strict=True):
        assert one["train/loss"] == pytest.approx(other["train/loss"], abs=1e-4)
    assert recorded(off)[-1]["train/margin"] != 0.0


def test_lora_off_is_refused_when_more_than_lora_learns(policy_folder: Path) -> None:
    flags = ("--model.init_args.learning.lora.rank=4", "--model.init_args.reference=lightning_modules.LoRAOffReference")
    with pytest.raises(ConfigError, match=r"only LoRA layers learn, but .* such as"):
        run(arguments(policy_folder, *flags))


@pytest.mark.long
def test_the_reference_is_computed_once_and_found_again(policy_folder: Path, no_validation) -> None:
    run(arguments(policy_folder, *no_validation))
    (cache,) = policy_folder.parent.glob("data/pairs-*/reference_logps/*.safetensors")
    written = cache.stat().st_mtime_ns
    run(arguments(policy_folder, *no_validation))
    (same,) = policy_folder.parent.glob("data/pairs-*/reference_logps/*.safetensors")
    assert same.stat().st_mtime_ns == written


@pytest.mark.long
def test_other_weights_get_a_reference_of_their_own(policy: Policy, policy_folder: Path, no_validation) -> None:
    run(arguments(policy_folder, *no_validation))
    with torch.no_grad():
        next(policy.model.model.language_model.parameters()).mul_(1.01)
    policy.model.save_pretrained(policy_folder)
    run(arguments(policy_folder, *no_validation))
    assert len(list(policy_folder.parent.glob("data/pairs-*/reference_logps/*.safetensors"))) == 2


def test_fine_tuning_on_the_chosen_completions_needs_no_reference(policy_folder: Path, no_validation) -> None:
    cli = run(
        arguments(
            policy_folder, *no_validation, "--config=configs/ablations/objective/sft.yaml", "--trainer.max_steps=12"
        )
    )
    steps = recorded(cli)
    assert "train/preference_loss" not in steps[0]
    assert steps[-1]["train/generation_loss"] < steps[0]["train/generation_loss"]
    assert not list(policy_folder.parent.glob("data/pairs-*/reference_logps/*"))


def test_validation_measures_held_out_pairs_and_leaves_the_shift_alone(policy_folder: Path) -> None:
    cli = run(arguments(policy_folder, "--trainer.val_check_interval=2"))
    metrics = cli.trainer.callback_metrics
    promised = {"greedy_accuracy", "hallucination_rate", "loss", "margin", "preference_accuracy", "chosen_reward"}
    assert {f"val/{name}" for name in promised} <= set(metrics)
    without = run(arguments(policy_folder, "--trainer.limit_val_batches=0"))
    assert cli.model.shift.count.item() == without.model.shift.count.item() == 4 * 8 * 2
    assert largest_difference(weights(cli), weights(without)) == 0.0


def test_a_threshold_that_nothing_reaches_says_which_margins_there_are(policy_folder: Path) -> None:
    too_high = ("--data.init_args.selection.threshold=50",)
    with pytest.raises(DataError, match=r"keeps none of \d+ pairs of the first rollout.*threshold=50.*margins go from"):
        run(arguments(policy_folder, *too_high, data=(*ONLINE, *too_high)))


def test_long_pairs_are_left_out_and_counted(policy_folder: Path, no_validation) -> None:
    # The shortest completions of the shapes world make conversations of under 40 tokens, the longest of over 60.
    run(arguments(policy_folder, *no_validation, "--data.init_args.max_pair_tokens=45"))
    (report,) = policy_folder.parent.rglob("pairs.json")
    account = json.loads(report.read_text())
    too_long = account["rejected"]["too many tokens"]
    assert 0 < too_long < 46
    assert sum(account["given"].values()) + sum(account["held_out"].values()) == 40 + 6 - too_long


def test_pairs_built_from_rollouts_cannot_have_a_cached_reference(policy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"CachedReference can only score pairs that are known beforehand"):
        run(arguments(policy_folder, "--model.init_args.reference=lightning_modules.CachedReference", data=ONLINE))
