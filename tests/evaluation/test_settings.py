"""What decides a number is its identity; what a user names becomes a folder that a server reads."""

from dataclasses import replace
from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.app import run
from evaluation.benchmarks import BENCHMARKS
from evaluation.config import EvaluationConfig, GenerationConfig
from evaluation.driving.harness import check_harness, task_settings
from evaluation.driving.instructions import PAPER_TEMPLATES, PAPER_TEXTS
from evaluation.evaluate import check_data
from evaluation.fixtures import FIXTURES, write_fixture
from evaluation.identity import folder_digest, settings_digest
from evaluation.serving.policy import exported_policy
from tests.conftest import sharp_policy

CONFIG = EvaluationConfig(policy="x", benchmarks=("math_vista",))


def settings(config: EvaluationConfig, benchmark: str = "math_vista"):
    return task_settings(config, benchmark, "tiny")


def test_sampling_prompt_and_system_turn_reach_the_harness() -> None:
    given = settings(replace(CONFIG, system="You are a helpful assistant."))
    task = given["task"]
    assert task["generation_config"] == {
        "max_tokens": 64_000, "temperature": 0.6, "top_p": 0.95, "repetition_penalty": 1.05,
    }  # fmt: skip
    assert task["repeats"] == 5
    assert task["dataset_args"]["math_vista"]["system_prompt"] == "You are a helpful assistant."
    assert any("boxed{{$LETTER}}" in text for text in given["texts"].values())
    assert settings(replace(CONFIG, prompt="harness"))["texts"] == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"generation": GenerationConfig(temperature=0.7)}, {"limit": 3}, {"prompt": "harness"}, {"system": "s"},
        {"data": {"math_vista": "elsewhere"}}, {"subsets": {"math_vista": ["a"]}},
    ],
)  # fmt: skip
def test_whatever_changes_a_number_changes_the_identity(changed) -> None:
    assert settings_digest(settings(replace(CONFIG, **changed))) != settings_digest(settings(CONFIG))


def test_where_and_how_fast_it_is_asked_changes_no_identity() -> None:
    elsewhere = replace(CONFIG, out="other", harness=replace(CONFIG.harness, concurrency=99))
    assert settings_digest(settings(elsewhere)) == settings_digest(settings(CONFIG))


def test_a_digest_sees_names_and_contents_and_not_times(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "a.jsonl"
    file.write_text("one")
    before = folder_digest(tmp_path)
    file.touch()
    assert folder_digest(tmp_path) == before
    file.write_text("two")
    changed = folder_digest(tmp_path)
    file.rename(tmp_path / "sub" / "b.jsonl")
    assert len({before, changed, folder_digest(tmp_path)}) == 3


def test_an_exported_folder_and_a_run_with_an_export_are_taken_as_they_are(tmp_path: Path) -> None:
    export = tmp_path / "run" / "export"
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    (export / "model.safetensors").write_bytes(b"")
    assert exported_policy(str(export), tmp_path) == export
    assert exported_policy(str(tmp_path / "run"), tmp_path) == export


@pytest.mark.long
def test_a_run_with_a_checkpoint_is_exported_first(tmp_path: Path) -> None:
    policy = sharp_policy()
    policy.model.save_pretrained(tmp_path / "start")
    policy.processor.save_pretrained(tmp_path / "start")
    run([
        "fit", "--config", "configs/tiny/grpo.yaml", "--model.policy=models.PretrainedPolicy",
        f"--model.policy.path={tmp_path / 'start'}", "--trainer.max_steps=1", "--trainer.limit_val_batches=0",
        "--callbacks.checkpoint=callbacks.StepCheckpoint", "--callbacks.checkpoint.every_n_train_steps=1",
        "--trainer.enable_checkpointing=true", f"--trainer.logger.save_dir={tmp_path / 'runs'}",
        "--trainer.logger.version=one",
    ])  # fmt: skip
    exported = exported_policy(str(tmp_path / "runs/tiny/one"), tmp_path / "exports")
    assert (exported / "model.safetensors").is_file()
    by_checkpoint = exported_policy(str(tmp_path / "runs/tiny/one/checkpoints/last.ckpt"), tmp_path / "exports")
    assert by_checkpoint == exported


@pytest.mark.parametrize(
    ("policy", "name"),
    [("runs/exported", "exported"), ("runs/tiny/grpo-s0", "grpo-s0"), ("runs/tiny/grpo-s0/export", "grpo-s0"),
     ("runs/tiny/grpo-s0/checkpoints/last.ckpt", "grpo-s0-last")],
)  # fmt: skip
def test_a_policy_is_called_after_its_run(policy: str, name: str) -> None:
    assert replace(CONFIG, policy=policy).title == name


@pytest.mark.parametrize(("kind", "told"), [("missing", "there is no"), ("empty", "neither a folder in Hugging"),
                                            ("run", "without a checkpoint")])  # fmt: skip
def test_what_is_no_policy_is_told(kind: str, told: str, tmp_path: Path) -> None:
    folder = tmp_path / "policy"
    if kind != "missing":
        folder.mkdir()
    if kind == "run":
        (folder / "config.yaml").write_text("")
    with pytest.raises(ConfigError, match=told):
        exported_policy(str(folder), tmp_path / "exports")


def test_missing_data_are_told_all_at_once_with_their_data_sets(tmp_path: Path) -> None:
    config = replace(
        CONFIG, benchmarks=("pope", "mmmu"), data={"pope": str(tmp_path / "p"), "mmmu": str(tmp_path / "m")}
    )
    with pytest.raises(ConfigError, match=r"lmms-lab/POPE.*MMMU/MMMU"):
        check_data(config)


def test_an_environment_without_the_harness_is_told_before_a_model_loads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make setup-evaluation"):
        check_harness(str(tmp_path / "python"))


def test_every_benchmark_of_the_paper_has_a_fixture_and_a_marked_question_in_it(tmp_path: Path) -> None:
    in_paper = {name for name, benchmark in BENCHMARKS.items() if benchmark.in_paper}
    assert set(FIXTURES) == in_paper
    for name in in_paper:
        fixture = write_fixture(name, tmp_path / name)
        assert (tmp_path / name / "README.md").is_file()
        for path, rows in fixture.files.values():
            assert (tmp_path / name / path).is_file()
            assert all("[synthetic]" in str(row) for row in rows)


def test_texts_are_replaced_for_known_benchmarks_only() -> None:
    assert set(PAPER_TEXTS) | set(PAPER_TEMPLATES) <= set(BENCHMARKS)
    assert all(benchmark.source or benchmark.paper is None for benchmark in BENCHMARKS.values())
