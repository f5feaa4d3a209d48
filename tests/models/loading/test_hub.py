"""Where the hub does not answer nothing waits for it; where it does, all is as ever."""

import threading
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from models.loading import hub


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.hub_answers.cache_clear()


def answering(head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "get_session", lambda: SimpleNamespace(head=head))


def test_a_silent_hub_is_not_asked_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    answering(refuse, monkeypatch)
    with hub.offline_where_silent():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_never_answers_costs_the_time_limit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    never = threading.Event()

    def hang(*args: object, **kwargs: object) -> None:
        asked.append(args)
        never.wait(30)

    answering(hang, monkeypatch)
    monkeypatch.setattr(hub, "_SECONDS", 0.05)
    assert not hub.hub_answers()
    assert not hub.hub_answers()
    never.set()
    assert len(asked) == 1


@pytest.mark.parametrize("status", [200, 401, 503])
def test_a_hub_that_answers_anything_is_used(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(lambda *args, **kwargs: SimpleNamespace(status_code=status), monkeypatch)
    with hub.offline_where_silent():
        assert not constants.HF_HUB_OFFLINE


def test_a_user_who_is_offline_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with hub.offline_where_silent():
        assert constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE
