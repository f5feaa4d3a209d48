"""Samples numbered rollouts: each one when its turn comes, or while the rollout before it is learnt from.

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
from rollouts import Sampled, SamplingConfig, gather_ranks, state_of_rank

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
        """Wait until the engine has finished the rollout in flight, then sample as ``RolloutModule`` does."""
        with self.waiting.for_engine():
            self.engine.wait()
        self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
        # The base class calls sync too, which then copies nothing, so the timer counts sampling only.
        with self.waiting.for_sampling():
            return super().sample(prompts, sampling, seed=seed)

    def sample_rollout(self, rollout: int, prompts: Sequence[Prompt], *, attempt: int = 0) -> Sampled:
        """Return the completions (P, G) of a rollout. With ``rollouts_ahead`` the engine then begins the next rollout.

        Args:
            rollout: number of the rollout.
            prompts: P prompts of the rollout, or further prompts for another attempt.
            attempt: number of the attempt, from 0; only the first attempt can have been sampled ahead.
        """
        with self.keeping_images():
            sampled = self._sampled(rollout, prompts, attempt)
        if self.rollouts_ahead:
            # The next rollout begins here, before scoring, so that rewards are computed while the engine samples.
            self.engine.sync(self.loaded_policy, version=self.trainer.global_step)
            following = self.experience.rollout_prompts(rollout + 1)
            self.ahead.start(rollout + 1, following, self.sampling, seed=self._rollout_seed(rollout + 1))
        return sampled

    def keeping_images(self) -> AbstractContextManager[None]:
        """Return a context in which the frozen tower of the policy reads each image of a rollout once."""
        return self.images.kept(self.loaded_policy, lambda uid: self.experience.prompt("train", uid))

    def _sampled(self, rollout: int, prompts: Sequence[Prompt], attempt: int) -> Sampled:
        """Return the completions (P, G) of an attempt: those that were sampled ahead, or new ones."""
        version = self.trainer.global_step
        with self.waiting.for_engine():
            sampled = self.ahead.take(rollout, version=version)
        if sampled is None:
            groups = self.sample(prompts, self.sampling, seed=self._rollout_seed(rollout, attempt))
            # ``sample`` has counted its own seconds.
            sampled = Sampled(groups=groups, policy_version=version, seconds=0.0)
        self.waiting.add_sampling(sampled.seconds)
        if attempt == 0:
            self._waiting_shares = self.waiting.end_round()
        return sampled

    def waiting_metrics(self, sampled_by: int) -> dict[str, float]:
        """Return the metrics of waiting, of learner and engine; none where the engine is part of the learner.

        Args:
            sampled_by: policy version that sampled the completions of this rollout.
        """
        if not self.engine.samples_apart:
            return {}
        return {"rollout/staleness": float(self.trainer.global_step - sampled_by), **self._waiting_shares}

    def _rollout_seed(self, rollout: int, attempt: int = 0) -> int:
        return position_seed(self.seed, "rollout", rollout, self.global_rank, attempt)

    # --- hooks of Lightning ---------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Do what every ``RolloutModule`` does; when a rollout is due, first forget the images of the one before."""
        if self.starts_rollout(batch):
            self.images.forget()
        super().on_train_batch_start(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Wait for the rollout in flight, and add the rollouts of all ranks."""
        super().on_save_checkpoint(checkpoint)
        with self.waiting.for_engine():
            state = self.ahead.state_dict(version=self.trainer.global_step)
        checkpoint[_KEY] = gather_ranks(state)
        checkpoint[_IMAGES_KEY] = gather_ranks(self.images.state_dict())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore this rank's rollout that was sampled ahead, and the uids of its prompts whose images were read."""
        super().on_load_checkpoint(checkpoint)
        # Checkpoints of earlier versions lack these keys.
        for key, part in ((_KEY, self.ahead), (_IMAGES_KEY, self.images)):
            if key in checkpoint:
                part.load_state_dict(state_of_rank(checkpoint[key], self.global_rank, self.trainer.world_size))

    def teardown(self, stage: str) -> None:
        """Give up a rollout in flight, and shut the engine down."""
        self.ahead.forget()
        super().teardown(stage)
