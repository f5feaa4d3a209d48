"""Training of the preference reward model on pairs (Skywork-VL-Reward, arXiv:2505.07263).

    pairs (B) -> scores of chosen and rejected (2B), one forward -> -log sigmoid(s+ - s-) -> backward

Pairs whose scores in the data are equal, or whose texts are equal, have no order to learn; they are left out.

Differs from the paper, which does not describe batches. Here all pairs of a micro-batch have the same weight, and all
micro-batches have the same weight, however many of their pairs are left out.

Shapes: B pairs, N pairs of a validation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from algorithms import PreferencePair, Prompt, bradley_terry_loss, check_at_least, pair_accuracy
from lightning_modules.learner import LearnerModule
from lightning_modules.learning import OptimizerConfig, build_optimizer
from lightning_modules.logs.tensorboard import tensorboard_writers
from lightning_modules.pair_logps import pair_length_problem
from lightning_modules.precision import check_precision, check_types, learn_in_32_bits
from lightning_modules.reward_model.calibration_figure import calibration_figure, rendered
from lightning_modules.reward_model.pair_metrics import PairMargins, pair_metrics
from lightning_modules.strategy import check_equal_batches, sharding_of
from models import RewardModel, RewardModelSource, is_sharded, same_on_all_ranks, shard


class RewardModelModule(LearnerModule):
    """Trains a reward model to give the better of two completions the higher score."""

    def __init__(
        self,
        reward_model: RewardModelSource,
        trainable: list[str],
        optimizer: OptimizerConfig,
        max_tokens: int | None = None,
    ) -> None:
        """Remember the settings; weights load in ``configure_model``.

        Args:
            reward_model: where the reward model comes from.
            trainable: parts of the backbone that learn besides the head, any of ``vision_tower``, ``adapter``,
                ``language_model``. Skywork-VL-Reward trains the last two; with an empty list only the head learns (a
                linear probe).
            optimizer: learning rate and schedule.
            max_tokens: longest conversation, images expanded to tokens. Pairs with a longer conversation are left out
                of training and not cut, because the score is read at the last token. Null keeps all pairs.
        """
        super().__init__()
        if max_tokens is not None:
            check_at_least("model.max_tokens", max_tokens, 1, "every pair would be left out; null keeps all")
        self.reward_model_source = reward_model
        self.trainable = trainable
        self.optimizer_config = optimizer
        self.max_tokens = max_tokens
        self.reward_model: RewardModel | None = None
        self.margins = PairMargins()

    @property
    def loaded_reward_model(self) -> RewardModel:
        """The reward model; the first access builds it."""
        # Data modules count the tokens of prompts in setup, before Lightning calls configure_model.
        self.configure_model()
        assert self.reward_model is not None
        return self.reward_model

    def configure_model(self) -> None:
        """Build the reward model once, freeze the parts that do not learn, and shard it if the strategy shards."""
        if self.reward_model is not None:
            return
        check_precision(self._trainer)
        reward_model = self.reward_model_source.build()
        reward_model.set_trainable(self.trainable)
        learn_in_32_bits(reward_model)
        if (sharding := sharding_of(self._trainer)) is not None:
            # A fresh head is drawn at random, but every rank must shard the same numbers.
            same_on_all_ranks(reward_model, sharding.device)
            shard(reward_model, reward_model.policy.model, sharding, entry="scores")
        else:
            # The head is left out, because it always computes in 32 bits.
            check_types(reward_model.policy, self._trainer)
        self.reward_model = reward_model

    def configure_optimizers(self) -> Any:
        """AdamW on the head and the trainable parts."""
        return build_optimizer(self, self.optimizer_config)

    def prompt_length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded; data modules leave out longer ones."""
        return self.loaded_reward_model.policy.encoder.length(prompt)

    @property
    def longest_prompt(self) -> int | None:
        """Most tokens that the backbone reads; None where its config does not say."""
        return self.loaded_reward_model.policy.context_length

    def pair_problem(self, pair: PreferencePair, max_tokens: int | None) -> tuple[str, str] | None:
        """Return why a pair cannot be used for learning, as a reason for counting and a detail; None for a good pair.

        Data modules call it for every pair.

        Args:
            pair: the pair.
            max_tokens: longest conversation, image tokens expanded; None allows any length.
        """
        model = self.loaded_reward_model
        length = max(len(model.token_ids(pair.prompt, text)) for text in (pair.chosen, pair.rejected))
        return pair_length_problem(length, max_tokens, model.policy.context_length)

    def training_step(self, batch: Sequence[PreferencePair], batch_idx: int) -> Tensor:
        """Return the loss of a batch of pairs."""
        ordered = [pair for pair in batch if not is_tied(pair)]
        kept = [pair for pair in ordered if self._fits(pair)]
        self.log("train/tied_fraction", 1.0 - len(ordered) / len(batch), batch_size=len(batch))
        if self.max_tokens is not None:
            self.log("train/too_long_fraction", 1.0 - len(kept) / max(len(ordered), 1), batch_size=len(batch))
        if not kept:
            # Every rank must take part in forward and backward; a rank without pairs adds a gradient of zeros.
            return sum(scores.sum() for scores in self.pair_scores(batch[:1])) * torch.zeros((), device=self.device)
        chosen, rejected = self.pair_scores(kept)  # (B,) each
        loss = bradley_terry_loss(chosen, rejected)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(kept))
        self.log("train/accuracy", pair_accuracy(chosen, rejected), batch_size=len(kept))
        self.log("train/margin", (chosen - rejected).mean(), batch_size=len(kept))
        return loss

    def on_validation_start(self) -> None:
        """Refuse different numbers of batches on ranks that share weights."""
        check_equal_batches(self.trainer, "validation", self.trainer.num_val_batches)

    def on_test_start(self) -> None:
        """Refuse different numbers of batches on ranks that share weights."""
        check_equal_batches(self.trainer, "test", self.trainer.num_test_batches)

    def on_validation_epoch_start(self) -> None:
        """Start the metric on this rank, even if it gets no pairs."""
        # A metric without an update would not take part in the collective call that gathers it.
        self.margins.update(torch.zeros(0, device=self.device), [])

    def on_test_epoch_start(self) -> None:
        """Start the metric on this rank, even if it gets no pairs."""
        self.on_validation_epoch_start()

    def validation_step(self, batch: Sequence[PreferencePair], batch_idx: int) -> None:
        """Add the margins of held-out pairs to the metric."""
        kept = [pair for pair in batch if not is_tied(pair)]
        if not kept and not is_sharded(self.loaded_reward_model):
            return
        # Ranks with sharded weights run equally many forwards, so one is needed even when no pair is kept.
        chosen, rejected = self.pair_scores(kept or batch[:1])
        if kept:
            self.margins.update(chosen - rejected, [pair.kind for pair in kept])

    def test_step(self, batch: Sequence[PreferencePair], batch_idx: int) -> None:
        """Add the margins of test pairs to the metric."""
        self.validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of held-out pairs."""
        self._log_pairs("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of test pairs."""
        self._log_pairs("test")

    def _log_pairs(self, split: str) -> None:
        """Log accuracy, margin, loss and calibration over the pairs of all ranks, and draw the calibration."""
        margins, kinds = self.margins.compute()
        margins = margins.reshape(-1)  # (N,); torchmetrics makes a scalar of a single margin
        self.margins.reset()
        if not len(margins):
            return
        # The numbers are equal on all ranks already; without sync_dist Lightning warns.
        metrics = {f"{split}/{name}": value for name, value in pair_metrics(margins, kinds).items()}
        self.log_dict(metrics, sync_dist=True)
        for writer in () if self.trainer.sanity_checking else tensorboard_writers(self.trainer):
            picture = rendered(calibration_figure(margins.cpu()))
            writer.add_image("reward_model/calibration", picture, self.global_step, dataformats="HWC")

    def save_pretrained(self, folder: str) -> None:
        """Write backbone, processor and head in the layout of Skywork-VL-Reward. All ranks call it, rank 0 writes."""
        self.loaded_reward_model.save_pretrained(folder, is_writer=self.trainer.is_global_zero)

    def pair_scores(self, pairs: Sequence[PreferencePair]) -> tuple[Tensor, Tensor]:
        """Return the scores (B,) of chosen and of rejected completions, from one forward."""
        prompts = [pair.prompt for pair in pairs]
        texts = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        # Both completions of a prompt are in one batch, so that its images are read once: (2B,) -> (B,), (B,)
        chosen, rejected = self.loaded_reward_model.scores([*prompts, *prompts], texts).chunk(2)
        return chosen, rejected

    def _fits(self, pair: PreferencePair) -> bool:
        """Return whether both conversations of a pair are within ``max_tokens``."""
        if self.max_tokens is None:
            return True
        token_ids = self.loaded_reward_model.token_ids
        return all(len(token_ids(pair.prompt, text)) <= self.max_tokens for text in (pair.chosen, pair.rejected))


def is_tied(pair: PreferencePair) -> bool:
    """Return whether a pair has no better completion: the same text twice, or equal scores in the data."""
    return pair.chosen == pair.rejected or pair.margin == 0.0
