"""Whatever is mistyped ends in one or two lines that name it and what was meant; nothing is accepted in silence.

Not here, because they are no mistakes: ``trainer.max_steps=0`` trains nothing and ``data.buffer.capacity=0`` replays
nothing, as both say; ``trainer.max_steps=-1`` trains until it is stopped; micro-batches that do not divide a rollout
differ by one sample, with a warning (below). A file without permission cannot be made by a test that runs as root, so
its error is raised by hand (below).
"""

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms import ConfigError
from cli.app import main
from cli.given.settings import config_files
from cli.mistakes.yaml_files import check_files
from tests.cli.wrong_inputs import COMMANDS, FILES, FLAGS
from tests.conftest import sharp_policy

# What parser and libraries say to programmers.
FOR_PROGRAMMERS = ("Traceback", "NestedArg", "Namespace", "<class", "jsonargparse", "usage:", "Expected a")
# What a run says before it fails, and of itself when it has begun.
_PROGRESS = (
    "which nothing of this project logs",
    "Loading weights",
    "rejected ",
    "run:     ",
    "resume:  ",
    "see:     ",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy, the same with a file missing, and the files of the cases."""
    folder = tmp_path_factory.mktemp("wrong")
    policy = sharp_policy()
    policy.model.save_pretrained(folder / "model")
    policy.processor.save_pretrained(folder / "model")  # pyright: ignore[reportAttributeAccessIssue]
    lacking = {
        "no_tokenizer": ("tokenizer.json", "tokenizer_config.json"),
        "no_processor": ("processor_config.json",),
        "no_template": ("chat_template.jinja",),
        "no_weights": ("model.safetensors",),
        "cut_off": (),
    }
    for name, files in lacking.items():
        shutil.copytree(folder / "model", folder / name)
        for file in files:
            (folder / name / file).unlink()
    weights = folder / "cut_off" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (folder / "a_file").write_text("a file")
    (folder / "text.ckpt").write_text("no checkpoint")
    (folder / "broken_callbacks.py").write_text("from lightning.pytorch import Callback\nclass Mine(Callback:\n")
    (folder / "whole_callbacks.py").write_text("from lightning.pytorch import Callback\nclass Mine(Callback): ...\n")
    for name, (content, _) in FILES.items():
        path = folder / f"{name}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def run_of(folder: Path) -> list[str]:
    """The command line that is right until something wrong follows: a step of GRPO with 16 prompts."""
    return [
        "fit", "--config=configs/tiny/grpo.yaml", f"--model.policy.path={folder}/model", "--trainer.max_steps=1",
        "--data.source.num_train=16", "--data.source.num_val=4", "--data.source.num_test=4",
        f"--data.source.root={folder}/data", "--data.prompts_per_rollout=4", "--trainer.logger=false",
        f"--trainer.default_root_dir={folder}", "--trainer.limit_val_batches=0", "--callbacks.layout=null",
        "--callbacks.completions=null", "--callbacks.progress=null",
    ]  # fmt: skip


def check_message(text: str, words: tuple[str, ...]) -> None:
    lines = [line for line in text.splitlines() if line.strip() and not any(word in line for word in _PROGRESS)]
    assert lines[0].startswith("error: "), text
    assert len(lines) <= 2, text
    assert len(lines[0]) < 420, text
    assert [word for word in words if word not in text] == [], text
    assert [word for word in FOR_PROGRAMMERS if word in text] == [], text


def check(arguments: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    check_message(capsys.readouterr().err, words)


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, (_, words) in FILES.items()], ids=list(FILES))
def test_a_wrong_file_is_named_with_what_is_wrong_in_it(name, words, folder, capsys) -> None:
    path = f"{folder}/{name}.yaml"
    run = run_of(folder)
    # Before the flags, so that none of them changes what the file sets.
    check([*run[:2], f"--config={path}", *run[2:]], words, capsys)


@pytest.mark.parametrize(("given", "words"), FLAGS.values(), ids=list(FLAGS))
def test_a_wrong_flag_is_named_with_what_was_meant(given, words, folder, capsys, monkeypatch) -> None:
    monkeypatch.syspath_prepend(folder)
    check([*run_of(folder), *(flag.replace("{folder}", str(folder)) for flag in given)], words, capsys)


@pytest.mark.parametrize(("given", "words"), COMMANDS.values(), ids=list(COMMANDS))
def test_a_wrong_command_line_is_named_with_what_was_meant(given, words, capsys) -> None:
    check(list(given), words, capsys)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("fit", "--ckpt_path=/nowhere.ckpt"), ("ckpt_path /nowhere.ckpt",)),
        (("validate", "--ckpt_path=best"), ("ckpt_path best",)),
        (("fit", "--callbacks.checkpoint=callbacks.StepCheckpoint"), ("--trainer.enable_checkpointing=true",)),
        (("fit", "--trainer.logger.version=a/b"), ("trainer.logger.version",)),
        (("fit", "--trainer.logger.save_dir=/proc/nowhere"), ("/proc/nowhere/tiny", "nothing can be written")),
        (("inspect", "--page=/proc/x.html"), ("page is /proc/x.html",)),
        (("inspect", "--page=tests"), ("page is tests, which is a folder",)),
    ],
)
def test_what_needs_no_model_is_refused_before_one_is_built(given, words, capsys, monkeypatch) -> None:
    monkeypatch.setattr("cli.app.build_missing", lambda command: pytest.fail("a model was built first"))
    command, flag = given
    check([command, "--config=configs/tiny/grpo.yaml", flag], words, capsys)


def test_there_are_more_than_a_hundred_of_them() -> None:
    assert len(FILES) + len(FLAGS) + len(COMMANDS) > 150


def test_the_run_without_anything_wrong_is_accepted(folder: Path) -> None:
    main(run_of(folder))


def test_micro_batches_that_do_not_divide_a_rollout_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        main([*run_of(folder), "--data.micro_batches=3"])
    assert "data.micro_batches is 3, and the 32 samples of a rollout do not divide by it" in caplog.text


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("trainer: {max_steps: 1}\n")
    files = config_files([f"--config={secret}"])

    def refuse(*args: object, **kwargs: object) -> str:
        raise PermissionError(13, "Permission denied", str(secret))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match=r"secret.yaml cannot be read: no permission"):
        check_files(files)


# The fewest that show that a process of its own says the same as this one.
PROCESSES = {
    "a mistyped key": (("--model.grop_size=4",), ("model.grop_size", "model.sampling.group_size?")),
    "a mistyped callback, switched off": (("--callbacks.completion=null",), ("completions?",)),
    "a GPU on a machine without": (("--trainer.accelerator=gpu",), ("trainer.accelerator is gpu",)),
    "a model without a template": FLAGS["a model without a template"],
    "Weights & Biases, not installed": FLAGS["Weights & Biases, not installed"],
    "a wrong type": FLAGS["a fraction for a number"],
    "more prompts than rows": FLAGS["more prompts than rows"],
    "a hub that is silent": FLAGS["a model on a hub that is silent"],
}


def check_process(name: str, folder: Path, here: Path) -> None:
    given, words = PROCESSES[name]
    flags = [flag.replace("{folder}", str(folder)) for flag in given]
    # Online, so that the silence of the hub has to be noticed.
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, Path("train.py").resolve(), *run_of(folder), *flags],
        cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    check_message(done.stderr, words)


@pytest.mark.long
def test_a_process_elsewhere_ends_with_the_same_sentence_and_status_2(folder: Path, tmp_path: Path) -> None:
    check_process("a hub that is silent", folder, here=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSES)
def test_processes_end_with_the_same_sentences_and_status_2(name: str, folder: Path, tmp_path: Path) -> None:
    check_process(name, folder, here=tmp_path)
