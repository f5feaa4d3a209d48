"""Rollouts in numbered turns, each of them sampled when its turn comes or one turn ahead.

Shapes: P prompts, G completions per prompt.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from algorithms import Completion, Prompt, position_seed
from lightning_modules.ahead.images import RolloutImages
from lightning_modules.ahead.rollout import RolloutAhead
from lightning_modules.ahead.waiting import WaitingTimes
from lightning_modules.data_contracts import ExperienceSource
from lightning_modules.rollout_module import RolloutModule
from rollouts import RolloutPhase, Sampled, SamplingConfig, gather_ranks, state_of_rank

_KEY, _IMAGES_KEY = "rollout_ahead", "rollout_images"


class AheadModule(RolloutModule):
    """Samples rollouts 0, 1, 2, ... Subclasses learn from them."""

    rollouts_ahead = 0
    """Rollouts that are sampled while an earlier one is learnt from: 0 or 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the settings of ``RolloutModule``."""
        super().__init__(*args, **kwargs)
        self.ahead, self.waiting = RolloutAhead(self.engine), WaitingTimes()
        self._waiting_shares: dict[str, float] = {}
        self.images = RolloutImages()

    @property
    def experience(self) -> ExperienceSource:
        """The data module."""
        return cast(ExperienceSource, self.trainer.datamodule)  # pyright: ignore[reportAttributeAccessIssue]

    def sample(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        """Return completions as every ``RolloutModule`` does, once the engine has done what is in flight."""
        with self.waiting.for_engine():
            self.engine.wait()
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        # The second sync, of the method of the base class, has nothing to hand over: only sampling is counted.
        with self.waiting.for_sampling():
            return super().sample(prompts, sampling, seed=seed)

    def roll_out(
        self, rollout: int, prompts: Sequence[Prompt], *, attempt: int = 0, first_group: int = 0
    ) -> RolloutPhase:
        """Return the scored completions (P, G) of a rollout; the next one is sampled meanwhile, where one is ahead.

        Args:
            rollout: its number.
            prompts: its P prompts, or further ones for another attempt.
            attempt: from 0; only the first one may have been sampled ahead.
            first_group: id of the first group.
        """
        with self.keeping_images():
            sampled = self._sampled(rollout, prompts, attempt)
        if self.rollouts_ahead:
            # Before the scores, so that rewards are computed while the engine samples.
            self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
            following = self.experience.rollout_prompts(rollout + 1)
            self.ahead.start(rollout + 1, following, self.sampling, seed=self._rollout_seed(rollout + 1))
        phase = self.score(prompts, sampled.groups, first_group=first_group)
        phase.policy_version = sampled.policy_version
        return phase

    def keeping_images(self) -> AbstractContextManager[None]:
        """Return a context in which the frozen tower of the policy reads each image of a rollout once."""
        return self.images.kept(self.loaded_policy, lambda uid: self.experience.prompt("train", uid))

    def _sampled(self, rollout: int, prompts: Sequence[Prompt], attempt: int) -> Sampled:
        """Return the completions (P, G) of an attempt, sampled ahead or now."""
        version = self.trainer.global_step
        with self.waiting.for_engine():
            sampled = self.ahead.take(rollout, version=version)
        if sampled is None:
            groups = self.sample(prompts, self.sampling, seed=self._rollout_seed(rollout, attempt))
            # Its seconds have been counted.
            sampled = Sampled(groups=groups, policy_version=version, seconds=0.0)
        self.waiting.add_sampling(sampled.seconds)
        if attempt == 0:
            self._waiting_shares = self.waiting.end_round()
        return sampled

    def waiting_metrics(self, sampled_by: int) -> dict[str, float]:
        """Return what is logged about who waited for whom; empty where the engine is part of the learner.

        Args:
            sampled_by: policy version of the completions that are about to be learnt from.
        """
        if not self.engine.samples_apart:
            return {}
        return {"rollout/staleness": float(self.trainer.global_step - sampled_by), **self._waiting_shares}

    def _rollout_seed(self, rollout: int, attempt: int = 0) -> int:
        return position_seed(self.seed, "rollout", rollout, self.global_rank, attempt)

    # --- hooks of Lightning ---------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Act as every ``RolloutModule`` does; where a rollout is due, images of the one before are not kept longer."""
        if self.starts_rollout(batch):
            self.images.forget()
        super().on_train_batch_start(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Wait for the rollout in flight of every rank, and add them."""
        super().on_save_checkpoint(checkpoint)
        with self.waiting.for_engine():
            state = self.ahead.state_dict(version=self.trainer.global_step)
        checkpoint[_KEY] = gather_ranks(state)
        checkpoint[_IMAGES_KEY] = gather_ranks(self.images.state_dict())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the rollout of this rank, sampled, and which of its images have been read."""
        super().on_load_checkpoint(checkpoint)
        # Each is absent in checkpoints of before there was such a thing.
        for key, part in ((_KEY, self.ahead), (_IMAGES_KEY, self.images)):
            if key in checkpoint:
                part.load_state_dict(state_of_rank(checkpoint[key], self.global_rank, self.trainer.world_size))

    def teardown(self, stage: str) -> None:
        """Give up a rollout in flight, and shut the engine down."""
        self.ahead.forget()
        super().teardown(stage)
