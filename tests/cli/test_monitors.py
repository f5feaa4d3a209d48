"""A callback that waits for a metric which nothing logs is told before the run starts."""

import logging

import pytest

from cli.mistakes.monitors import logged_keys, warn_of_monitors


def told(monitor: str, caplog: pytest.LogCaptureFixture, **config: object) -> str:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        warn_of_monitors({"callbacks": {"best": {"class_path": "x.EarlyStopping", "monitor": monitor}}, **config})
    return caplog.text


def test_a_metric_that_nothing_logs_is_told_with_the_nearest_that_is(caplog: pytest.LogCaptureFixture) -> None:
    text = told("val/greedy_acuracy", caplog)
    assert "callbacks.best.monitor is val/greedy_acuracy" in text
    assert "did you mean val/greedy_accuracy?" in text
    assert "metrics.md lists all" in told("something/else_entirely_qqq", caplog)


@pytest.mark.parametrize("monitor", ["val/pass_at_16", "rollout/failed_mine", "val/pair_accuracy_detail", "step"])
def test_a_metric_of_the_page_with_any_name_or_number_in_its_place_is_known(
    monitor: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(monitor, caplog) == ""


def test_the_score_of_a_reward_of_the_users_own_is_logged_and_so_is_every_metric_of_the_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert told("rollout/short", caplog)
    assert told("rollout/short", caplog, model={"reward": {"parts": {"short": {"weight": 1.0}}}}) == ""
    assert len(logged_keys()) > 50
    assert [key for key in logged_keys() if told(key, caplog)] == []
