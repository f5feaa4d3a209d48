"""Takes the prompts of rollouts from a stream, in the order of the rollouts, and again after a resume."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from algorithms import Prompt
from datamodules.streams.prompt_stream import PromptStream

_NUM_RECENT = 2
"""Rollouts whose prompts may be requested again: the one that is learnt from, and the one sampled meanwhile."""


class _Taken(NamedTuple):
    before: dict[str, Any]
    """State of the stream before the rollout."""

    prompts: tuple[Prompt, ...]


class RolloutStream:
    """Returns the prompts of rollouts 0, 1, 2, ...; those of the newest two rollouts may be requested again."""

    def __init__(self, stream: PromptStream, per_rollout: int) -> None:
        """Begin before the first rollout.

        Args:
            stream: stream of prompts.
            per_rollout: number of prompts of one rollout.
        """
        self.stream, self.per_rollout = stream, per_rollout
        # Rollouts by number, oldest first.
        self._recent: dict[int, _Taken] = {}
        # Prompts of rollouts and of replayed samples, by uid.
        self._held: dict[int, Prompt] = {}

    def prompts(self, rollout: int) -> tuple[Prompt, ...]:
        """Return the prompts of a rollout; rollouts must be requested in order, and some may be skipped."""
        if rollout not in self._recent:
            before = self.stream.state_dict()
            prompts = tuple(self.stream.take(self.per_rollout))
            newest = [*self._recent.items(), (rollout, _Taken(before, prompts))][-_NUM_RECENT:]
            self._recent = dict(newest)
            self._held |= {prompt.uid: prompt for prompt in prompts}
        return self._recent[rollout].prompts

    def held(self, uid: int) -> Prompt | None:
        """Return a prompt that is still held; None when it is not."""
        return self._held.get(uid)

    def keep(self, uids: Collection[int]) -> None:
        """Forget all prompts except these and the prompts of the newest rollouts."""
        kept = {uid: self._held[uid] for uid in uids if uid in self._held}
        recent = {prompt.uid: prompt for taken in self._recent.values() for prompt in taken.prompts}
        self._held = kept | recent

    def find(self, uids: Sequence[int]) -> None:
        """Read prompts again, such as those of a buffer after a resume."""
        self._held |= self.stream.find([uid for uid in uids if uid not in self._held])

    def state_dict(self) -> dict[str, Any]:
        """Return the positions of the stream before the newest rollouts, and the numbers of these rollouts."""
        if not self._recent:
            return {"before": self.stream.state_dict(), "rollouts": []}
        return {"before": next(iter(self._recent.values())).before, "rollouts": list(self._recent)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the saved positions, and take the prompts of these rollouts again."""
        self.stream.load_state_dict(state["before"])
        self._recent = {}
        # Older checkpoints have one rollout, or None.
        older = [] if state.get("rollout") is None else [state["rollout"]]
        for rollout in state.get("rollouts", older):
            self.prompts(rollout)
