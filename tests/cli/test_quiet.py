"""Warnings about which a user can do nothing are silenced, and no others."""

import warnings

import pytest

from cli.quiet import quiet

LEFT_OUT = (
    "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided during "
    "`Trainer` instantiation."
)


@pytest.mark.parametrize(("trains", "told"), [(True, [LEFT_OUT]), (False, [])])
def test_callbacks_of_a_checkpoint_that_are_not_there_matter_to_a_run_that_goes_on_alone(
    trains: bool, told: list[str]
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        quiet(trains=trains)
        warnings.warn(LEFT_OUT, stacklevel=1)
    assert [str(warning.message) for warning in seen] == told


def test_a_checkpoint_that_is_not_there_yet_is_told_by_this_project_alone() -> None:
    with warnings.catch_warnings(record=True) as seen:
        quiet(trains=True)
        warnings.warn(".fit(ckpt_path='last') is set, but there is no last checkpoint available. No ...", stacklevel=1)
    assert seen == []
