import pytest

from models import Policy
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE
from tests.rollouts.vllm.stand_in import TOKEN, take_vllms_place


@pytest.fixture
def stand_in(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in where vLLM is, in engines and servers of this process."""
    take_vllms_place(policy, monkeypatch)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
