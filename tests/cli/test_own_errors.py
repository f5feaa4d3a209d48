"""An error in a user's own class keeps its traceback; only what a setting causes becomes one sentence."""

from pathlib import Path

import pytest
from lightning.pytorch import Callback

from algorithms import ConfigError
from cli.app import run
from cli.given.settings import config_files, flags
from cli.mistakes.check import CommandLine
from cli.mistakes.libraries import check_constructors, raise_first_cause

GRPO = "--config=configs/tiny/grpo.yaml"


class Broken(Callback):
    """Has a bug in its constructor."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.share = 1 // (size - size)


def line(*arguments: str) -> CommandLine:
    given = ["fit", GRPO, *arguments]
    return CommandLine(given, config_files(given), flags(given))


def test_a_bug_in_a_users_constructor_is_raised_as_it_is(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ZeroDivisionError) as raised:
        run(["fit", GRPO, f"--model.policy.path={tmp_path}", f"--callbacks.mine={__name__}.Broken"])
    assert raised.traceback[-1].path == Path(__file__)


def test_a_key_that_a_dataclass_knows_in_part_is_written_as_a_user_types_it() -> None:
    with pytest.raises(ConfigError, match=r"^model\.learning\.optimizer\.learning_rate must be above 0"):
        raise_first_cause(ConfigError("optimizer.learning_rate must be above 0, got -1."), line())


def test_a_path_that_cannot_be_used_is_named_with_the_key_that_has_it() -> None:
    error = PermissionError(13, "Permission denied", "/secret/place/data/train.jsonl")
    with pytest.raises(ConfigError, match=r"^data\.source\.root: /secret/place/data/train\.jsonl .* no permission"):
        raise_first_cause(error, line("--data.source.root=/secret/place"))


def test_an_error_that_no_setting_causes_is_left_alone() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        raise_first_cause(RuntimeError("a bug"), line())


def test_before_a_build_only_errors_about_other_things_than_what_is_built_count(tmp_path) -> None:
    def complain(text: str) -> None:
        raise ConfigError(text)

    folder = tmp_path / "runs" / "built" / "x"
    check_constructors(lambda: complain(f"{folder}/meta.json is not there"), to_build=[folder])
    with pytest.raises(ConfigError, match="group_size"):
        check_constructors(lambda: complain("model.sampling.group_size is 1"), to_build=[folder])
