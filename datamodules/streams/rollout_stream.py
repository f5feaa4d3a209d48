"""The prompts of rollouts, taken from a stream in the order of the rollouts, and again after a resume."""

from collections.abc import Collection, Sequence
from typing import Any

from algorithms import Prompt
from datamodules.streams.prompt_stream import PromptStream


class RolloutStream:
    """Hands out the prompts of rollout 0, 1, 2, ...; the last rollout may be asked for again."""

    def __init__(self, stream: PromptStream, per_rollout: int) -> None:
        """Begin in front of the first rollout.

        Args:
            stream: where prompts come from.
            per_rollout: prompts of one rollout.
        """
        self.stream, self.per_rollout = stream, per_rollout
        self._before: dict[str, Any] = stream.state_dict()
        self._rollout: int | None = None
        self._prompts: tuple[Prompt, ...] = ()
        # Those of a rollout and of replay, by uid.
        self._held: dict[int, Prompt] = {}

    def prompts(self, rollout: int) -> tuple[Prompt, ...]:
        """Return the prompts of a rollout; rollouts are asked for in order, some of them not at all."""
        if rollout != self._rollout:
            self._before, self._rollout = self.stream.state_dict(), rollout
            self._prompts = tuple(self.stream.take(self.per_rollout))
            self._held |= {prompt.uid: prompt for prompt in self._prompts}
        return self._prompts

    def held(self, uid: int) -> Prompt | None:
        """Return a prompt that was handed out and not forgotten; None when it is not there."""
        return self._held.get(uid)

    def keep(self, uids: Collection[int]) -> None:
        """Forget all prompts but these and those of the last rollout."""
        kept = {uid: self._held[uid] for uid in uids if uid in self._held}
        self._held = kept | {prompt.uid: prompt for prompt in self._prompts}

    def find(self, uids: Sequence[int]) -> None:
        """Read prompts again, those of a buffer after a resume."""
        self._held |= self.stream.find([uid for uid in uids if uid not in self._held])

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream was before the last rollout, and the number of that."""
        return {"before": self._before, "rollout": self._rollout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go there, and take the prompts of that rollout again."""
        self.stream.load_state_dict(state["before"])
        self._rollout = None
        if state["rollout"] is not None:
            self.prompts(state["rollout"])
