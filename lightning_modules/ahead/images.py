"""Keeps the outputs of a frozen tower for the images of the present rollout, over training steps and a resume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from algorithms import Prompt
from models import Policy

Uids = list[list[int]]
"""Uids of the prompts whose images were read together, in order."""


class RolloutImages:
    """Keeps tower outputs from the start of a rollout to the start of the next one."""

    def __init__(self) -> None:
        """Start before the first rollout."""
        self._policy: Policy | None = None
        self._to_read: Uids | None = None

    @contextmanager
    def kept(self, policy: Policy, prompt: Callable[[int], Prompt]) -> Iterator[None]:
        """Read each image at most once in all such contexts of a rollout.

        Args:
            policy: the policy that is trained; after a resume with sharded weights this is a collective call.
            prompt: function that returns the prompt with a uid.
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
        """Return the uids of prompts whose images were read. Tower outputs are not included, because they are large."""
        if self._to_read is not None or self._policy is None:
            return self._to_read or []
        return [[prompt.uid for prompt in group] for group in self._policy.kept_images.groups]

    def load_state_dict(self, state: Uids) -> None:
        """Read these images again later, before any other image."""
        self.forget()
        self._to_read = state

    def _read_again(self, policy: Policy, prompt: Callable[[int], Prompt], groups: Uids) -> None:
        self._to_read = None
        # Ranks may have read different numbers of groups, so weights are gathered once for all groups.
        with policy.whole_weights():
            for group in groups:
                policy.read_images([prompt(uid) for uid in group])
