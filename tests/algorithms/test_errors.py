"""The errors a user can cause."""

import pytest

from algorithms.errors import ConfigError, DataError


@pytest.mark.parametrize("error", [ConfigError, DataError])
def test_a_mistake_of_the_user_is_a_value_error_that_prints_its_sentence(error: type[ValueError]) -> None:
    assert issubclass(error, ValueError)
    assert str(error("seed must be at least 0, got -1.")) == "seed must be at least 0, got -1."


def test_settings_and_data_can_be_told_apart() -> None:
    assert not issubclass(ConfigError, DataError)
    assert not issubclass(DataError, ConfigError)
