"""A run goes on only from a checkpoint of a run with the same identity; what may differ may differ."""

from pathlib import Path

import pytest
import torch

from algorithms import ConfigError
from cli.app import run
from models import Policy
from tests.conftest import sharp_policy
from tests.test_mpo_training import arguments as mpo_arguments
from tests.test_training import arguments


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy in it, and a checkpoint ``grpo/step=1.ckpt``."""
    root = tmp_path_factory.mktemp("identity")
    save_policy(sharp_policy(), root / "policy")
    run(
        arguments(
            "fit", root / "policy", "--trainer.max_steps=1", "--trainer.enable_checkpointing=true",
            "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
            f"--callbacks.checkpoint.dirpath={root / 'grpo'}",
        )
    )  # fmt: skip
    return root


def save_policy(policy: Policy, folder: Path) -> None:
    policy.model.save_pretrained(folder)
    policy.processor.save_pretrained(folder)


def resumed(root: Path, *flags: str, checkpoint: str = "grpo/step=1.ckpt") -> None:
    run(arguments("fit", root / "policy", "--trainer.max_steps=2", f"--ckpt_path={root / checkpoint}", *flags))


@pytest.mark.parametrize(
    ("flag", "found"),
    [
        ("--data.init_args.micro_batches=4", r"data\.micro_batches is 4 and was 2"),
        ("--data.init_args.prompts_per_rollout=2", r"data\.prompts_per_rollout is 2 and was 4"),
        ("--data.init_args.buffer.capacity=0", r"data\.buffer\.capacity is 0 and was 1024"),
        ("--data.init_args.seed=7", r"data\.seed is 7 and was 0"),
        ("--model.init_args.seed=7", r"model\.seed is 7 and was 0"),
        ("--model.init_args.sampling.group_size=2", r"model\.sampling\.group_size is 2 and was 4"),
        ("--model.init_args.learning.trainable=[adapter]", r"model\.learning\.trainable is \['adapter'\] and was"),
        ("--model.init_args.learning.lora={rank: 2, alpha: 4}", r"model\.learning\.lora is \{.*'rank': 2"),
        ("--model.init_args.grpo.engine_ratio_cap=2.0", r"engine_ratio_cap is a number and was null"),
        ("--trainer.precision=bf16-mixed", r"trainer\.precision is bf16-mixed and was 32-true"),
    ],
)
def test_another_setting_that_states_depend_on_is_refused_with_both_values(saved: Path, flag: str, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as refused:
        resumed(saved, flag)
    assert "--model.init_args.policy.path=FOLDER" in str(refused.value)
    assert str(saved / "grpo/step=1.ckpt") in str(refused.value)


def test_several_differences_are_named_at_once(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"group_size is 2 and was 4, .*micro_batches is 4 and was 2"):
        resumed(saved, "--model.init_args.sampling.group_size=2", "--data.init_args.micro_batches=4")


def test_a_checkpoint_of_another_phase_is_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"model is MPOModule and was GRPOModule, .*data is Preference"):
        run(mpo_arguments(saved / "policy", f"--ckpt_path={saved / 'grpo/step=1.ckpt'}"))


def test_another_policy_of_the_same_shape_is_refused(saved: Path) -> None:
    other = sharp_policy()
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.mul_(1.01)
    save_policy(other, saved / "other")
    with pytest.raises(ConfigError, match=r"model\.policy is PretrainedPolicy\(.*/other.* and was .*/policy"):
        resumed(saved, f"--model.init_args.policy.path={saved / 'other'}")


def test_the_same_policy_in_another_folder_is_accepted(saved: Path) -> None:
    save_policy(sharp_policy(), saved / "moved")
    resumed(saved, f"--model.init_args.policy.path={saved / 'moved'}")


def test_what_may_differ_is_accepted(saved: Path) -> None:
    resumed(
        saved, "--model.init_args.learning.optimizer.learning_rate=1e-5", "--data.init_args.buffer.max_age=3",
        "--trainer.log_every_n_steps=2", "--callbacks.layout=null", "--model.init_args.sampling.temperature=0.9",
    )  # fmt: skip


def test_a_command_that_only_reads_weights_compares_what_they_depend_on(saved: Path) -> None:
    command = arguments("validate", saved / "policy", f"--ckpt_path={saved / 'grpo/step=1.ckpt'}")
    run([*command, "--data.init_args.micro_batches=4", "--model.init_args.seed=7"])
    with pytest.raises(ConfigError, match=r"model\.learning\.lora"):
        run([*command, "--model.init_args.learning.lora={rank: 2, alpha: 4}"])


def test_a_checkpoint_without_identity_is_accepted_with_a_warning(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = torch.load(saved / "grpo/step=1.ckpt", weights_only=True)
    del checkpoint["run_identity"]
    torch.save(checkpoint, saved / "old.ckpt")
    resumed(saved, checkpoint="old.ckpt")
    assert "old.ckpt does not hold the settings of its run" in caplog.text
