"""The name of a run says what it is, and says it the same way however the command line is written."""

import json
from pathlib import Path

import pytest

from cli.given.settings import config_files, flags
from cli.run_record.names import RunName, run_name

GRPO, ABLATIONS = "configs/tiny/grpo.yaml", "configs/ablations"


def named(*arguments: str, seed: int | None = 0, given: str | None = None) -> RunName:
    line = ["fit", *arguments]
    return run_name(config_files(line), flags(line), seed=seed, given=given)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([f"--config={GRPO}"], "grpo-s0"),
        ([f"--config={GRPO}", "--config", f"{ABLATIONS}/replay/no_ssb.yaml"], "grpo-no_ssb-s0"),
        ([f"--config={GRPO}", "--config=configs/hardware/cpu2.yaml"], "grpo-cpu2-s0"),
        ([f"--config={GRPO}", "--model.sampling.group_size=16"], "grpo-sampling.group_size=16-s0"),
        ([f"--config={GRPO}", "--model.init_args.sampling.group_size", "16"], "grpo-sampling.group_size=16-s0"),
        ([f"--config={GRPO}", "--model.max_attempts=2", "--model.max_attempts=3"], "grpo-max_attempts=3-s0"),
        ([f"--config={GRPO}", "--callbacks.calibrator=null"], "grpo-calibrator=null-s0"),
        ([f"--config={GRPO}", "--model.learning.trainable=[adapter,vision_tower]"],
         "grpo-learning.trainable=adapter+vision_tower-s0"),
        ([f"--config={GRPO}", "--model.policy.path=/a/b/my model"], "grpo-policy.path=my_model-s0"),
        ([f"--config={GRPO}", "--model.engine=rollouts.VLLMEngine"], "grpo-engine=VLLMEngine-s0"),
        ([f"--config={GRPO}", '--data.buffer={"capacity": 0}'], "grpo-buffer.capacity=0-s0"),
        (['--config={"model": {"class_path": "GRPOModule"}}'], "config-s0"),
    ],
)  # fmt: skip
def test_a_name_is_made_of_config_overlays_flags_and_seed(arguments: list[str], name: str) -> None:
    assert str(named(*arguments)) == name


def test_runs_of_several_seeds_share_a_title_and_a_run_without_a_seed_is_its_title() -> None:
    names = [named(f"--config={GRPO}", "--model.max_attempts=3", seed=seed) for seed in (0, 7, None)]
    assert {name.title for name in names} == {"grpo-max_attempts=3"}
    assert [str(name) for name in names] == ["grpo-max_attempts=3-s0", "grpo-max_attempts=3-s7", "grpo-max_attempts=3"]


@pytest.mark.parametrize(
    "flag",
    ["--trainer.max_steps=8", "--trainer.limit_val_batches=0", "--trainer.logger=false", "--ckpt_path=last",
     "--trainer.logger.save_dir=x", "--callbacks.completions=null", "--callbacks.checkpoint.every_n_train_steps=1",
     "--trainer.enable_progress_bar=false", "--seed_everything=0", "--trainer.default_root_dir=x",
     "--callbacks.export.init_args.folder=x", "--data.init_args.reading.report_folder=x"],
)  # fmt: skip
def test_length_and_display_and_places_are_no_part_of_a_name(flag: str) -> None:
    assert named(f"--config={GRPO}", flag) == named(f"--config={GRPO}")


def test_many_flags_become_a_digest_that_follows_their_values() -> None:
    many = [f"--model.reward.parts.{name}.weight=0.5" for name in ("accuracy", "format", "preference", "even")]
    first, same, other = (
        named(f"--config={GRPO}", *flags) for flags in (many, many, [*many[:3], many[3].replace("0.5", "0.6")])
    )
    assert str(first).startswith("grpo-4flags-")
    assert len(str(first)) < 40
    assert first == same
    assert str(first) != str(other)


def test_values_that_look_alike_in_a_name_are_still_told_apart() -> None:
    one, other = (named(f"--config={GRPO}", f"--model.policy.path={path}") for path in ("a/base", "b/base"))
    assert str(one) == str(other)
    assert one != other


def test_a_given_name_is_used_as_it_stands_and_its_seed_is_no_part_of_the_title() -> None:
    assert str(named(f"--config={GRPO}", given="mine")) == "mine"
    assert named(f"--config={GRPO}", given="mine-s3", seed=3).title == "mine"
    assert named(f"--config={GRPO}", given="mine-s3", seed=3).seed == 3


def test_the_saved_config_of_a_run_stands_for_what_was_run(tmp_path: Path) -> None:
    attempt = {"started": "2026", "arguments": ["fit"], "status": "finished"}
    record = {"command": "fit", "title": "grpo-no_ssb", "seed": 0, "flags": {}, "attempts": [attempt]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    (tmp_path / "config.yaml").write_text("{}")
    assert str(named(f"--config={tmp_path / 'config.yaml'}", seed=4)) == "grpo-no_ssb-s4"
