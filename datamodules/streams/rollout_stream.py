"""The prompts of rollouts, taken from a stream in the order of the rollouts, and again after a resume."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from algorithms import Prompt
from datamodules.streams.prompt_stream import PromptStream

_NUM_RECENT = 2
"""Rollouts that may be asked for again: the one that is learnt from, and the one that is sampled meanwhile."""


class _Taken(NamedTuple):
    before: dict[str, Any]
    """State of the stream in front of the rollout."""

    prompts: tuple[Prompt, ...]


class RolloutStream:
    """Hands out the prompts of rollout 0, 1, 2, ...; the newest two may be asked for again."""

    def __init__(self, stream: PromptStream, per_rollout: int) -> None:
        """Begin in front of the first rollout.

        Args:
            stream: where prompts come from.
            per_rollout: prompts of one rollout.
        """
        self.stream, self.per_rollout = stream, per_rollout
        # By number, oldest first.
        self._recent: dict[int, _Taken] = {}
        # Those of a rollout and of replay, by uid.
        self._held: dict[int, Prompt] = {}

    def prompts(self, rollout: int) -> tuple[Prompt, ...]:
        """Return the prompts of a rollout; rollouts are asked for in order, some of them not at all."""
        if rollout not in self._recent:
            before = self.stream.state_dict()
            prompts = tuple(self.stream.take(self.per_rollout))
            newest = [*self._recent.items(), (rollout, _Taken(before, prompts))][-_NUM_RECENT:]
            self._recent = dict(newest)
            self._held |= {prompt.uid: prompt for prompt in prompts}
        return self._recent[rollout].prompts

    def held(self, uid: int) -> Prompt | None:
        """Return a prompt that was handed out and not forgotten; None when it is not there."""
        return self._held.get(uid)

    def keep(self, uids: Collection[int]) -> None:
        """Forget all prompts but these and those of the newest rollouts."""
        kept = {uid: self._held[uid] for uid in uids if uid in self._held}
        recent = {prompt.uid: prompt for taken in self._recent.values() for prompt in taken.prompts}
        self._held = kept | recent

    def find(self, uids: Sequence[int]) -> None:
        """Read prompts again, those of a buffer after a resume."""
        self._held |= self.stream.find([uid for uid in uids if uid not in self._held])

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream was before the newest rollouts, and their numbers."""
        if not self._recent:
            return {"before": self.stream.state_dict(), "rollouts": []}
        return {"before": next(iter(self._recent.values())).before, "rollouts": list(self._recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go there, and take the prompts of those rollouts again."""
        self.stream.load_state_dict(state["before"])
        self._recent = {}
        # Older checkpoints have one rollout, or None.
        older = [] if state.get("rollout") is None else [state["rollout"]]
        for rollout in state.get("rollouts", older):
            self.prompts(rollout)
