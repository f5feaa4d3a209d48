"""What a frozen tower made of the images of the present rollout, over its training steps and over a resume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from algorithms import Prompt
from models import Policy

Uids = list[list[int]]
"""Of prompts whose images were read together, in order."""


class RolloutImages:
    """Keeps images of a policy from the start of a rollout to the start of the next one."""

    def __init__(self) -> None:
        """Start before the first rollout."""
        self._policy: Policy | None = None
        self._to_read: Uids | None = None

    @contextmanager
    def kept(self, policy: Policy, prompt: Callable[[int], Prompt]) -> Iterator[None]:
        """Read each image at most once in this context and in the next ones of the same rollout.

        Args:
            policy: being trained; a collective call after a resume where its weights are sharded.
            prompt: returns the prompt with a uid.
        """
        self._policy = policy
        images = policy.kept_images
        with images.open(policy.model):
            if self._to_read is not None:
                self._read_again(policy, prompt, self._to_read)
            yield

    def forget(self) -> None:
        """Begin a rollout."""
        self._to_read = None
        if self._policy is not None:
            self._policy.kept_images.forget()

    def state_dict(self) -> Uids:
        """Return which images have been read; not what was made of them, which is large."""
        if self._to_read is not None or self._policy is None:
            return self._to_read or []
        return [[prompt.uid for prompt in group] for group in self._policy.kept_images.groups]

    def load_state_dict(self, state: Uids) -> None:
        """Have those images read again, before any other."""
        self.forget()
        self._to_read = state

    def _read_again(self, policy: Policy, prompt: Callable[[int], Prompt], groups: Uids) -> None:
        self._to_read = None
        # Ranks have read different numbers of groups, also none.
        with policy.whole_weights():
            for group in groups:
                policy.read_images([prompt(uid) for uid in group])
