"""Objectives made of functions: by short name, or from a file of the user's own."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.grpo.averages import AVERAGES, AverageName, StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.kl import KL_ESTIMATORS, KLEstimatorName
from algorithms.grpo.loss import grpo_loss
from algorithms.grpo.ratios import RATIOS, RatioName
from algorithms.grpo.surrogates import SURROGATES, SurrogateName
from cli.app import main
from tests.algorithms.hand_made import samples
from tests.assertions import assert_same

OWN = """
from functools import partial

from algorithms.grpo.surrogates import Gain

NUMBER = 3

def scaled(factor, log_ratios, policy_logps, advantages, bounds):
    value = factor * advantages[:, None] * policy_logps
    return Gain(value, value > bounds.high)

doubled = partial(scaled, 2.0)

def first_token(values, is_completion, size):
    return values[:, 0].sum() / size.num_tokens

def halved(log_ratios, is_completion):
    return 0.5 * log_ratios

def absolute(log_ratios):
    return log_ratios.abs()
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a module with functions of a user's own."""
    (tmp_path / "my_objectives.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    # Undone at the end too, so that no other test finds the module.
    monkeypatch.delitem(sys.modules, "my_objectives", raising=False)
    return import_module("my_objectives")


def loss(config: GRPOConfig, **given: Tensor) -> Tensor:
    policy_logps = torch.tensor([[-1.0, -2.0], [-3.0, -1.0]])
    rows = samples(torch.zeros(2, 2), torch.tensor([1.0, -2.0]), torch.ones(2, 2, dtype=torch.bool))
    return grpo_loss(policy_logps, rows, size=StepSize(2, 4, 2), config=config, **given).loss


def test_an_objective_can_be_made_of_functions_in_one_file_of_the_user_s_own(own: ModuleType) -> None:
    config = GRPOConfig(surrogate=own.doubled, average=own.first_token)
    # 2 A log pi of the first tokens: -2 and 12, over 4 tokens.
    assert_same(loss(config), torch.tensor(-2.5))


def test_a_ratio_and_a_kl_estimator_can_be_the_user_s_own(own: ModuleType) -> None:
    log_ratios = torch.tensor([[0.2, -0.4]])
    assert_same(RATIOS.find(own.halved)(log_ratios, torch.ones(1, 2, dtype=torch.bool)), 0.5 * log_ratios)
    reference = torch.zeros(2, 2)
    plain, penalised = GRPOConfig(), GRPOConfig(kl_weight=0.5, kl_estimator=own.absolute)
    # Mean |log pi - log pi_0| over all tokens: 7 / 4.
    assert_same(loss(penalised, reference_logps=reference) - loss(plain), torch.tensor(0.5 * 7 / 4))


def test_a_function_written_in_c_needs_no_signature() -> None:
    assert GRPOConfig(kl_estimator=torch.square).kl_estimator is torch.square


@pytest.mark.parametrize("table", [RATIOS, SURROGATES, AVERAGES, KL_ESTIMATORS], ids=lambda table: table.key)
def test_an_unknown_name_is_refused_with_the_key_and_all_names(table) -> None:
    names = ", ".join(table.functions)
    with pytest.raises(
        ConfigError, match=rf"^{table.key} must be one of {names}, or the import path.*, got 'clipp'\.$"
    ):
        table.check("clipp")


@pytest.mark.parametrize(
    ("table", "names"),
    [(RATIOS, RatioName), (SURROGATES, SurrogateName), (AVERAGES, AverageName), (KL_ESTIMATORS, KLEstimatorName)],
    ids=lambda value: getattr(value, "key", ""),
)
def test_the_type_of_the_names_lists_the_table(table, names) -> None:
    assert get_args(names) == tuple(table.functions)


def test_a_function_with_other_arguments_is_refused_before_training(own: ModuleType) -> None:
    complaint = (
        r"^model\.grpo\.surrogate must take 4 arguments by position, \(log_ratios, policy_logps, advantages, bounds\), "
        r"got <function halved.*> with \(log_ratios, is_completion\)\.$"
    )
    with pytest.raises(ConfigError, match=complaint):
        GRPOConfig(surrogate=own.halved)


def message(flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(["fit", "--config=configs/tiny/grpo.yaml", flag])
    return capsys.readouterr().err


@pytest.mark.usefixtures("own")
def test_the_command_line_imports_a_function_and_writes_its_path_into_the_config(capsys) -> None:
    flags = ["--model.grpo.surrogate=my_objectives.doubled", "--print_config=skip_null"]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config=configs/tiny/grpo.yaml", *flags])
    assert stopped.value.code == 0
    assert "surrogate: my_objectives.doubled" in capsys.readouterr().out


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("choice", "cause"),
    [
        ("clipp", "did you mean clip?"),
        ("no_such_module.gain", "No module named 'no_such_module'"),
        ("my_objectives.missing", "module 'my_objectives' has no attribute 'missing'"),
    ],
)
def test_the_command_line_refuses_a_choice_that_leads_to_no_function_at_once(choice, cause, capsys) -> None:
    # While the config is parsed, so before any model is built.
    text = message(f"--model.grpo.surrogate={choice}", capsys)
    assert text.startswith("error: model.grpo.surrogate must be one of clip, cispo or the import path of a function")
    assert cause in text
    assert f"got {choice}" in text


def test_only_averages_known_to_need_no_token_count_do_without_it() -> None:
    needs = {name: GRPOConfig(average=name).needs_token_count for name in get_args(AverageName)}
    assert needs == {"sequence": False, "token": True, "constant": False}


def test_an_average_of_the_user_s_own_gets_the_token_count(own: ModuleType) -> None:
    assert GRPOConfig(average=own.first_token).needs_token_count


def test_variants_of_one_function_can_differ_in_constants_only(own: ModuleType) -> None:
    assert isinstance(GRPOConfig(surrogate=own.doubled).surrogate, partial)
