"""Objectives made of functions: by short name, or from a file of the user's own."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from algorithms.errors import ConfigError
from algorithms.grpo.averages import AVERAGES, StepSize
from algorithms.grpo.config import GRPOConfig
from algorithms.grpo.kl import KL_ESTIMATORS
from algorithms.grpo.loss import grpo_loss
from algorithms.grpo.ratios import RATIOS
from algorithms.grpo.surrogates import SURROGATES
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
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module with functions of a user's own."""
    (tmp_path / "my_objectives.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    # Undone at the end too, so that no other test finds the module.
    monkeypatch.delitem(sys.modules, "my_objectives", raising=False)
    return "my_objectives"


def loss(config: GRPOConfig, **given: Tensor) -> Tensor:
    policy_logps = torch.tensor([[-1.0, -2.0], [-3.0, -1.0]])
    rows = samples(torch.zeros(2, 2), torch.tensor([1.0, -2.0]), torch.ones(2, 2, dtype=torch.bool))
    return grpo_loss(policy_logps, rows, size=StepSize(2, 4, 2), config=config, **given).loss


def test_an_objective_can_be_made_of_functions_in_one_file_of_the_user_s_own(own: str) -> None:
    config = GRPOConfig(surrogate=f"{own}.doubled", average=f"{own}.first_token")
    # 2 A log pi of the first tokens: -2 and 12, over 4 tokens.
    assert_same(loss(config), torch.tensor(-2.5))


def test_a_ratio_and_a_kl_estimator_can_be_the_user_s_own(own: str) -> None:
    log_ratios = torch.tensor([[0.2, -0.4]])
    assert_same(RATIOS.find(f"{own}.halved")(log_ratios, torch.ones(1, 2, dtype=torch.bool)), 0.5 * log_ratios)
    reference = torch.zeros(2, 2)
    plain, penalised = GRPOConfig(), GRPOConfig(kl_weight=0.5, kl_estimator=f"{own}.absolute")
    # Mean |log pi - log pi_0| over all tokens: 7 / 4.
    assert_same(loss(penalised, reference_logps=reference) - loss(plain), torch.tensor(0.5 * 7 / 4))


def test_a_function_written_in_c_needs_no_signature() -> None:
    assert KL_ESTIMATORS.find("torch.square") is torch.square


@pytest.mark.parametrize("table", [RATIOS, SURROGATES, AVERAGES, KL_ESTIMATORS], ids=lambda table: table.key)
def test_an_unknown_name_is_refused_with_the_key_and_all_names(table) -> None:
    names = ", ".join(table.functions)
    with pytest.raises(
        ConfigError, match=rf"^{table.key} must be one of {names}, or the import path.*, got 'clipp'\.$"
    ):
        GRPOConfig(**{table.key.rpartition(".")[2]: "clipp"})


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("no_such_module.gain", "cannot be imported: No module named 'no_such_module'"),
        ("my_objectives.missing", "my_objectives defines no function missing"),
        ("my_objectives.NUMBER", "my_objectives defines no function NUMBER"),
        ("my_objectives.halved", "must take 4 arguments: log_ratios, policy_logps, advantages, bounds"),
    ],
)
def test_a_path_that_leads_to_no_fitting_function_is_refused_before_training(own: str, path: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.grpo\.surrogate must .*got '{path}' \({cause}\)\.$"):
        GRPOConfig(surrogate=path)


def test_only_averages_known_to_need_no_token_count_do_without_it() -> None:
    needs = {name: GRPOConfig(average=name).needs_token_count for name in AVERAGES.functions}
    assert needs == {"sequence": False, "token": True, "constant": False}


def test_an_average_of_the_user_s_own_gets_the_token_count(own: str) -> None:
    assert GRPOConfig(average=f"{own}.first_token").needs_token_count


def test_variants_of_one_function_can_differ_in_constants_only(own: str) -> None:
    assert isinstance(SURROGATES.find(f"{own}.doubled"), partial)
