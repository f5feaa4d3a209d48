"""Training of the preference reward model on pairs (Skywork-VL-Reward, arXiv:2505.07263).

    pairs (B) -> scores of chosen and rejected (2B), one forward -> -log sigmoid(s+ - s-) -> backward

Pairs whose two sides are equally good by the data, or the same text, have no order to learn: they are left out.

Differs from the paper: it names no split into batches; here pairs of a micro-batch weigh the same, and micro-batches
weigh the same whatever is left out of them.

Shapes: B pairs, N pairs of a validation.
"""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from algorithms import (
    ConfigError,
    PreferencePair,
    Prompt,
    bradley_terry_loss,
    expected_calibration_error,
    pair_accuracy,
    reliability_curve,
)
from lightning_modules.learning import OptimizerConfig, build_optimizer, gradient_norm
from lightning_modules.strategy import check_equal_batches, sharding_of
from lightning_modules.tensorboard import tensorboard_writers
from models import RewardModel, RewardModelSource, is_sharded, same_on_all_ranks, shard

_KIND_BYTES = 64


class RewardModelModule(L.LightningModule):
    """Trains a reward model to score the better of two answers higher."""

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
                ``language_model``. Skywork-VL-Reward trains the last two; none leaves a linear probe.
            optimizer: learning rate and schedule.
            max_tokens: longest conversation, images expanded to tokens. Pairs with a longer one are left out of the
                training, never cut: the score is read at the end. Null keeps all.
        """
        super().__init__()
        if max_tokens is not None and max_tokens < 1:
            raise ConfigError(
                f"model.max_tokens must be at least 1 or null, got {max_tokens}: every pair would be left out."
            )
        self.reward_model_source = reward_model
        self.trainable = trainable
        self.optimizer_config = optimizer
        self.max_tokens = max_tokens
        self.reward_model: RewardModel | None = None
        self.val_margins = PairMargins()

    @property
    def loaded_reward_model(self) -> RewardModel:
        """The reward model, which must be there by now."""
        self.configure_model()
        assert self.reward_model is not None
        return self.reward_model

    def configure_model(self) -> None:
        """Build the reward model once, freeze what does not learn, and shard it where the strategy does so."""
        if self.reward_model is None:
            reward_model = self.reward_model_source.build()
            reward_model.set_trainable(self.trainable)
            if (sharding := sharding_of(self._trainer)) is not None:
                same_on_all_ranks(reward_model, sharding.device)
                shard(reward_model, reward_model.policy.model, sharding, entry="scores")
            self.reward_model = reward_model

    def configure_optimizers(self) -> Any:
        """AdamW on the head and the trainable parts."""
        return build_optimizer(self, self.optimizer_config)

    def prompt_length(self, prompt: Prompt) -> int:
        """Return a prompt's length in tokens, image tokens expanded; data modules filter by it."""
        return self.loaded_reward_model.policy.encoder.length(prompt)

    def training_step(self, batch: Sequence[PreferencePair], batch_idx: int) -> Tensor:
        """Return the loss of a batch of pairs."""
        ordered = [pair for pair in batch if not is_tied(pair)]
        kept = [pair for pair in ordered if self._fits(pair)]
        self.log("train/tied_fraction", 1.0 - len(ordered) / len(batch), batch_size=len(batch))
        if self.max_tokens is not None:
            self.log("train/too_long_fraction", 1.0 - len(kept) / max(len(ordered), 1), batch_size=len(batch))
        if not kept:
            # Other ranks wait for this one's forward and gradient, so it gives one of zeros.
            return sum(scores.sum() for scores in self.pair_scores(batch[:1])) * torch.zeros((), device=self.device)
        chosen, rejected = self.pair_scores(kept)
        loss = bradley_terry_loss(chosen, rejected)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(kept))
        self.log("train/accuracy", pair_accuracy(chosen, rejected), batch_size=len(kept))
        self.log("train/margin", (chosen - rejected).mean(), batch_size=len(kept))
        return loss

    def on_validation_start(self) -> None:
        """Refuse batches that ranks cannot read together."""
        check_equal_batches(self.trainer, "validation", self.trainer.num_val_batches)

    def on_validation_epoch_start(self) -> None:
        """Add no pairs, so that a rank that will have none still takes part in the gathering."""
        self.val_margins.update(torch.zeros(0, device=self.device), [])

    def validation_step(self, batch: Sequence[PreferencePair], batch_idx: int) -> None:
        """Remember the margins of held-out pairs."""
        kept = [pair for pair in batch if not is_tied(pair)]
        if not kept and not is_sharded(self.loaded_reward_model):
            return
        # Ranks that share weights read equally often, also where nothing is kept.
        chosen, rejected = self.pair_scores(kept or batch[:1])
        if kept:
            self.val_margins.update(chosen - rejected, [pair.kind for pair in kept])

    def on_validation_epoch_end(self) -> None:
        """Log accuracy, margin, loss and calibration over the pairs of all ranks, and draw them."""
        margins, kinds = self.val_margins.compute()
        margins = margins.reshape(-1)  # torchmetrics makes a scalar of a single one
        self.val_margins.reset()
        if not len(margins):
            return
        # Gathered before, so that ranks average equal numbers; Lightning warns of anything else.
        self.log_dict({f"val/{name}": value for name, value in pair_metrics(margins, kinds).items()}, sync_dist=True)
        for writer in () if self.trainer.sanity_checking else tensorboard_writers(self.trainer):
            picture = rendered(calibration_figure(margins.cpu()))
            writer.add_image("reward_model/calibration", picture, self.global_step, dataformats="HWC")

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norm of the gradient before clipping."""
        self.log("train/grad_norm", gradient_norm(optimizer))
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])

    def save_pretrained(self, folder: str) -> None:
        """Write backbone, processor and head in the layout of Skywork-VL-Reward; all ranks come here, one writes."""
        self.loaded_reward_model.save_pretrained(folder, is_writer=self.trainer.is_global_zero)

    def pair_scores(self, pairs: Sequence[PreferencePair]) -> tuple[Tensor, Tensor]:
        """Return the scores (B,) of chosen and of rejected completions, from one forward."""
        prompts = [pair.prompt for pair in pairs]
        texts = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        chosen, rejected = self.loaded_reward_model.scores([*prompts, *prompts], texts).chunk(2)
        return chosen, rejected

    def _fits(self, pair: PreferencePair) -> bool:
        if self.max_tokens is None:
            return True
        token_ids = self.loaded_reward_model.token_ids
        return all(len(token_ids(pair.prompt, text)) <= self.max_tokens for text in (pair.chosen, pair.rejected))


class PairMargins(Metric):
    """Margins and kinds of held-out pairs, gathered over ranks; which kinds there are need not be known before."""

    full_state_update = False
    margins: list[Tensor]
    kinds: list[Tensor]

    def __init__(self) -> None:
        """Start without pairs."""
        super().__init__()
        for name in ("margins", "kinds"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, margins: Tensor, kinds: Sequence[str]) -> None:
        """Add pairs: ``margins`` (B,) and the kind of each."""
        self.margins.append(margins.detach().float())
        # Only tensors travel between ranks.
        encoded = b"".join(kind.encode()[:_KIND_BYTES].ljust(_KIND_BYTES, b"\0") for kind in kinds)
        letters = torch.tensor(list(encoded), dtype=torch.uint8, device=margins.device)
        self.kinds.append(letters.view(-1, _KIND_BYTES))

    def compute(self) -> tuple[Tensor, list[str]]:
        """Return all margins (N,) and their kinds."""
        names = [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in dim_zero_cat(self.kinds).tolist()]
        return dim_zero_cat(self.margins), names


def is_tied(pair: PreferencePair) -> bool:
    """Return whether nothing says which side is better: the same text twice, or equal scores in the data."""
    return pair.chosen == pair.rejected or pair.margin == 0.0


def pair_metrics(margins: Tensor, kinds: Sequence[str]) -> dict[str, Tensor]:
    """Return accuracy overall and by kind, mean margin, loss in nats per pair, and calibration error.

    Args:
        margins: (N,) chosen minus rejected score, N > 0.
        kinds: how each pair was made.
    """
    zeros = torch.zeros_like(margins)
    values = {
        "pair_accuracy": pair_accuracy(margins, zeros),
        "margin": margins.mean(),
        "loss": bradley_terry_loss(margins, zeros),
        "calibration_error": expected_calibration_error(reliability_curve(margins)),
    }
    for kind in sorted(set(kinds)):
        of_kind = torch.tensor([other == kind for other in kinds], device=margins.device)
        values[f"pair_accuracy_{kind}"] = pair_accuracy(margins[of_kind], zeros[of_kind])
    return values


def calibration_figure(margins: Tensor) -> Figure:
    """Return the reliability curve and the histogram of margins (N,)."""
    curve = reliability_curve(margins)
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0.5, 1.0], [0.5, 1.0], color="gray", linestyle="--", label="calibrated")
    filled = curve.num_pairs > 0
    # Areas by pairs: a bin of three pairs says little.
    areas = 20.0 + 180.0 * curve.num_pairs[filled] / curve.num_pairs.max()
    left.plot(curve.confidence[filled], curve.accuracy[filled], color="tab:blue", label="this model")
    left.scatter(curve.confidence[filled], curve.accuracy[filled], s=areas, color="tab:blue", alpha=0.5)
    error = expected_calibration_error(curve).item()
    left.set(xlabel="confidence, sigmoid(|margin|)", ylabel="share in the right order", ylim=(-0.05, 1.05))
    left.set_title(f"calibration error {error:.3f}")
    left.legend(loc="lower right")
    right.hist(margins.numpy(), bins=30, color="tab:blue")
    right.axvline(0.0, color="gray", linestyle="--")
    accuracy = pair_accuracy(margins, torch.zeros_like(margins)).item()
    right.set(xlabel="margin, chosen minus rejected score", ylabel="pairs")
    right.set_title(f"{len(margins)} held-out pairs, {accuracy:.1%} in the right order")
    return figure


def rendered(figure: Figure) -> np.ndarray:
    """Return a figure's pixels (height, width, 4), without a display and without pyplot's global state."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())
