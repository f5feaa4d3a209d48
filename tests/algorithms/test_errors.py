"""The errors a user can cause."""

import pytest

from algorithms.errors import ConfigError, DataError, check_at_least


@pytest.mark.parametrize("error", [ConfigError, DataError])
def test_a_mistake_of_the_user_is_a_value_error_that_prints_its_sentence(error: type[ValueError]) -> None:
    assert issubclass(error, ValueError)
    assert str(error("seed must be at least 0, got -1.")) == "seed must be at least 0, got -1."


def test_settings_and_data_can_be_told_apart() -> None:
    assert not issubclass(ConfigError, DataError)
    assert not issubclass(DataError, ConfigError)


@pytest.mark.parametrize("value", [0, -1, 0.5, float("nan")])
def test_a_number_that_is_too_small_is_refused_with_key_value_bound_and_reason(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^data.micro_batches must be at least 1, got {value}: nothing to learn\.$"):
        check_at_least("data.micro_batches", value, 1, "nothing to learn")


def test_a_number_at_the_bound_is_allowed() -> None:
    check_at_least("data.micro_batches", 1, 1)
