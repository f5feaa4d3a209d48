"""A stopped chain goes on where it was, and never with what other settings made."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithms import ConfigError, DataError
from experiments.real import __main__ as chain_command
from experiments.real import asked as asking
from experiments.real import estimate, running
from experiments.real.asked import Asked, asked, check_asked
from experiments.real.running import Chain, run_stage
from experiments.real.scales import SCALES
from experiments.real.stages import STAGES
from storage.folder_lock import FolderInUse
from tests.conftest import long
from tests.experiments.small_chain import random_llama

SMOKE = SCALES["smoke"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The command lines that were run; each writes its folder, and nothing else happens."""
    ran: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> None:
        ran.append(arguments)
        written = next(word for word in arguments if ".folder=" in word and word.startswith("--callbacks."))
        Path(written.partition("=")[2]).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(running, "_measured", lambda *_: {})
    # That settings are checked is seen below; it takes a second a stage.
    monkeypatch.setattr(asking, "planned", lambda _: None)
    return ran


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(SMOKE, tmp_path)


def check(chain: Chain, *stages: str, seeds: Sequence[int] = (0,)) -> None:
    check_asked(Asked(chain, seeds, stages))


def test_a_stage_whose_numbers_are_there_is_not_run_again(chain: Chain, commands: list[Sequence[str]]) -> None:
    first = run_stage(chain, "tower", 0)
    assert json.loads(chain.numbers("tower", 0).read_text()) == first
    assert run_stage(chain, "tower", 0) == first
    assert len(commands) == 1
    run_stage(chain, "tower", 1)
    assert len(commands) == 2


def test_a_stage_that_was_stopped_while_it_measured_is_measured_and_not_trained_again(
    chain: Chain, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "_measured", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_stage(chain, "answers", 0)
    assert not chain.numbers("answers", 0).exists()
    # Trained with other settings it is no answer to what is asked.
    run_stage(replace(chain, flags=["--trainer.precision=32-true"]), "answers", 0)
    assert len(commands) == 2
    chain.numbers("answers", 0).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(running, "_measured", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_stage(chain, "answers", 0)
    assert len(commands) == 3
    assert run_stage(chain, "answers", 0)["stage"] == "answers"
    assert len(commands) == 3
    assert [file.name for file in chain.numbers("answers", 0).parent.glob("*.json")] == ["answers.json"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (lambda c: replace(c, scale=SCALES["fast"]), r"max_steps=2 .* --trainer\.max_steps=1000"),
        (lambda c: replace(c, flags=["--trainer.precision=32-true"]), r"no further flag, and --trainer.precision="),
    ],
)  # fmt: skip
def test_what_other_settings_made_is_refused_before_anything_runs(
    chain: Chain, commands: list[Sequence[str]], other: Callable[[Chain], Chain], told: str
) -> None:
    run_stage(chain, "tower", 0)
    check(chain, "tower")
    check(replace(chain, flags=["--callbacks.progress=null"]), "tower")
    with pytest.raises(ConfigError, match=rf"tower\.json was made with .*{told}.* is asked for: choose another folder"):
        check(other(chain), "tower")


def test_another_test_of_the_same_policy_is_refused_too(chain: Chain, commands: list[Sequence[str]]) -> None:
    run_stage(chain, "answers", 0)
    other = replace(chain, scale=replace(SMOKE, num_prompts=5))
    with pytest.raises(ConfigError, match=r"made with questions = 4, and questions = 5 is asked for"):
        check(other, "answers")


def test_an_engine_must_be_installed_and_is_part_of_what_made_the_numbers_of_a_stage_that_samples(
    chain: Chain, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_vllm = replace(chain, engine="configs/engines/vllm.yaml")
    for name in STAGES:
        run_stage(with_vllm, name, 0)
    laid_over = [name for name, command in zip(STAGES, commands, strict=True) if with_vllm.engine in command]
    assert laid_over == ["grpo", "no_ssb", "pairs"]
    check(chain, "tower", "answers")
    # Found when GRPO begins, half an hour would be lost.
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"--engine is vllm, which is not installed: `make setup-vllm`"):
        check(with_vllm, *STAGES)
    with pytest.raises(ConfigError, match=r"grpo\.json was made with --config=configs/engines/vllm\.yaml"):
        check(chain, "grpo")


def test_a_stage_made_from_an_older_run_of_another_is_refused(chain: Chain, commands: list[Sequence[str]]) -> None:
    for name in ("tower", "words"):
        run_stage(chain, name, 0)
    check(chain, "tower", "words")
    numbers = chain.numbers("tower", 0)
    numbers.write_text(numbers.read_text().replace('"seconds": ', '"seconds": 1'))
    with pytest.raises(ConfigError, match=r"words\.json was made from a tower that has been run again since: delete"):
        check(chain, "tower", "words")


def test_what_a_stage_reads_must_be_there_or_be_asked_for(chain: Chain, commands: list[Sequence[str]]) -> None:
    with pytest.raises(ConfigError, match=r"stage align reads what words writes, and there is no .*: add words"):
        check(chain, "tower", "align")
    for name in ("tower", "words"):
        run_stage(chain, name, 0)
    check(chain, "align")
    chain.numbers("words", 0).with_suffix("").rmdir()
    with pytest.raises(ConfigError, match=r"stage align reads .*words, which is gone .*: delete that file"):
        check(chain, "align")


def test_numbers_that_are_cut_are_named(chain: Chain, commands: list[Sequence[str]]) -> None:
    run_stage(chain, "tower", 0)
    chain.numbers("tower", 0).write_text('{"stage": "tow')
    with pytest.raises(DataError, match=r"tower\.json cannot be read .*: delete it, and its stage is run again"):
        check(chain, "tower")


def test_a_language_model_whose_copy_was_cut_is_told_before_the_first_stage_with_what_to_delete(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = random_llama(chain.root / "llama")
    monkeypatch.setattr(running, "model_folder", lambda *_: str(folder))
    assert set(running.run_language_model(chain)["text"]) >= {"all", "arithmetic", "completions"}
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    # It is measured once, whatever becomes of it.
    running.run_language_model(chain)
    (chain.root / running.LANGUAGE_MODEL_NUMBERS).unlink()
    with pytest.raises(ConfigError, match=rf"cut off .* Delete {folder}: it is written again from the package"):
        running.run_language_model(chain)


@pytest.mark.parametrize("late", [pytest.param("words", id="words"), long("mpo", name="mpo")])
def test_a_wrong_setting_of_a_late_stage_is_told_before_the_first(chain: Chain, late: str) -> None:
    stages = list(STAGES)[: list(STAGES).index(late) + 1]
    wrong = replace(chain, scale=replace(SMOKE, flags={late: ["--trainer.max_step=1"]}))
    with pytest.raises(ConfigError, match=rf"stage {late}: .*max_step is no setting .* did you mean trainer.max_steps"):
        check(wrong, *stages)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seeds", "0", "--seeds", "1"], r'--seeds is given twice: .* with make as SEED="0 1"'),
        (["--scale", "fast", "--scale", "laptop"], r"--scale is given twice"),
        (["--root", "a", "--root", "a"], r"--root is given twice"),
        (["--seeds", "0", "1", "0"], r"--seeds must be different whole numbers from 0 on, got 0 1 0"),
        (["--seeds", "-1"], r"--seeds must be different whole numbers"),
        (["--seeds", "one"], r"--seeds: invalid int value: 'one'"),
        (["--scale", "slow"], r"--scale: invalid choice: 'slow' .*laptop"),
        (["--stages", "tower", "aligned"], r"--stages: invalid choice: 'aligned'"),
    ],
)  # fmt: skip
def test_an_option_that_is_wrong_or_given_twice_is_one_sentence(arguments: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        asked(None, arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("flag", ["--scal=fast", "--seed=1", "fast"])
def test_an_option_that_nobody_knows_is_refused_by_the_first_stage(flag: str, tmp_path: Path) -> None:
    what = asked(None, [flag, "--root", str(tmp_path), "--stages", "tower"])
    with pytest.raises(ConfigError, match=rf"stage tower: {flag.strip('-').split('=')[0]} is "):
        check_asked(what)


def test_stages_run_in_the_order_in_which_they_read_each_other() -> None:
    assert asked(None, ["--stages", "align", "tower", "words", "align"]).stages == ["tower", "words", "align"]


def test_two_chains_never_write_to_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_command, "check_inputs", lambda: None)
    monkeypatch.setattr(chain_command, "folder_lock", in_use)
    with pytest.raises(ConfigError, match=r"is in use by process 12 on node7: wait for it, or choose another folder"):
        chain_command.main(["--root", str(tmp_path)])


def in_use(folder: Path) -> Any:
    raise FolderInUse(folder, "process 12 on node7")


def test_what_is_left_goes_by_the_stored_seconds_and_by_how_fast_it_has_been_here(
    tmp_path: Path, commands: list[Sequence[str]]
) -> None:
    chain = Chain(SCALES["laptop"], tmp_path)
    everything = Asked(chain, (0,), list(STAGES))
    whole = estimate.seconds_left(everything)
    assert whole is not None
    assert 30 * 60 < whole < 60 * 60
    fast = estimate.seconds_left(Asked(Chain(SCALES["fast"], tmp_path), (0,), SCALES["fast"].stages))
    assert fast is not None
    assert 0.2 * whole < fast < 0.6 * whole
    run_stage(chain, "tower", 0)
    numbers = chain.numbers("tower", 0)
    rest = [name for name in STAGES if name != "tower"]
    expected = estimate.seconds_left(Asked(chain, (0,), rest))
    assert expected is not None
    tower = whole - expected
    # A machine of half the speed, then one seed more.
    numbers.write_text(json.dumps(json.loads(numbers.read_text()) | {"seconds": 2 * tower}))
    assert estimate.seconds_left(everything) == pytest.approx(2 * expected, rel=0.01)
    assert estimate.seconds_left(replace(everything, seeds=(0, 1))) == pytest.approx(2 * (expected + whole), rel=0.01)


def test_where_nothing_tells_how_long_it_takes_nothing_is_said(tmp_path: Path) -> None:
    gpu = Asked(Chain(SCALES["gpu"], tmp_path), (0,), ["tower"])
    assert estimate.told(estimate.seconds_left(gpu)) == ""
    assert estimate.told(61.0) == ", about 1 min left"
