"""Steps from which nothing may be learnt: they stop the run or are left out, and never spoil a weight."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from algorithms import ConfigError
from lightning_modules.learner import MAX_SKIPPED_IN_A_ROW, LearnerModule, TrainingDiverged
from lightning_modules.logs.weights import changed_and_all, sampled_weights

NAN, INF = math.nan, math.inf
LOSS_ALONE, GRADIENT_ALONE = -1.0, -2.0


class Line(LearnerModule):
    """Loss = slope x the sum of the weights; two slopes stand for a bad loss or a bad gradient, alone."""

    def __init__(self, *, skip: bool = False, lr: float = 0.1, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.skip_nonfinite, self.lr = skip, lr
        self.weights = nn.Parameter(torch.linspace(1.0, 2.0, 8, dtype=dtype))
        self.logged: list[dict[str, float]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        slope = batch.item()
        if slope == LOSS_ALONE:
            return (self.weights * 0.0).sum() + NAN
        if slope == GRADIENT_ALONE:
            return (self.weights - self.weights.detach()).abs().sqrt().sum()  # 0, with the slope of a root at 0
        return (slope * self.weights).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.1)

    def on_train_batch_end(self, *args: Any) -> None:
        self.logged.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})


def fitted(module: Line, slopes: Sequence[float], **settings: Any) -> Line:
    trainer = L.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, **{"enable_checkpointing": False, **settings},
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(torch.tensor(slopes), batch_size=None)
    trainer.fit(module, loader)
    return module


def weights(module: Line) -> Tensor:
    return module.weights.detach().clone()


@pytest.mark.parametrize(
    ("bad", "found"), [(NAN, "the loss is not finite"), (INF, "the loss is not finite"),
                       (LOSS_ALONE, "the loss is not finite"), (GRADIENT_ALONE, "the norm of the gradient is nan")],
)  # fmt: skip
def test_a_step_that_is_not_finite_stops_the_run_with_its_number_and_leaves_the_weights(bad: float, found: str) -> None:
    module, good = Line(), weights(fitted(Line(), [1.0]))
    with pytest.raises(TrainingDiverged, match=rf"^step 2: {found}"):
        fitted(module, [1.0, bad, 1.0])
    assert torch.equal(weights(module), good)


def test_a_bad_loss_among_accumulated_ones_stops_the_run() -> None:
    with pytest.raises(TrainingDiverged, match="step 1: the loss is not finite"):
        fitted(Line(), [1.0, LOSS_ALONE, 1.0, 1.0], accumulate_grad_batches=4)


def test_weights_that_an_update_makes_infinite_stop_the_run_before_they_are_saved(tmp_path: Path) -> None:
    module, saving = Line(lr=3e37), ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)
    with pytest.raises(TrainingDiverged, match=r"step [12]: weights are no longer finite"):
        fitted(module, [1.0, -3.0, -3.0], enable_checkpointing=True, callbacks=[saving])
    for file in tmp_path.glob("*.ckpt"):
        assert torch.load(file, weights_only=True)["state_dict"]["weights"].isfinite().all()


def test_weights_that_are_not_finite_from_the_start_are_refused_with_the_tensor() -> None:
    module = Line(skip=True)
    with torch.no_grad():
        module.weights[3] = INF
    with pytest.raises(ConfigError, match=r"hold numbers that are not finite, in 1 tensors, such as weights: "):
        fitted(module, [1.0])


@pytest.mark.parametrize("bad", [NAN, INF, LOSS_ALONE, GRADIENT_ALONE])
def test_a_step_that_may_be_skipped_is_counted_and_as_if_it_had_never_been(bad: float) -> None:
    skipping = fitted(Line(skip=True), [1.0, bad, -0.5, 1.0])
    assert torch.equal(weights(skipping), weights(fitted(Line(), [1.0, -0.5, 1.0])))
    assert [step["train/skipped_steps"] for step in skipping.logged] == [0.0, 1.0, 1.0, 1.0]


def test_skipping_step_after_step_is_no_success() -> None:
    steps = [1.0] * 3 + [NAN] * (MAX_SKIPPED_IN_A_ROW - 1)
    assert fitted(Line(skip=True), [*steps, 1.0, *steps]).num_skipped == 2 * (MAX_SKIPPED_IN_A_ROW - 1)
    with pytest.raises(TrainingDiverged, match="nothing is learnt any more"):
        fitted(Line(skip=True), [*steps, NAN, 1.0])


def test_a_step_without_a_gradient_moves_neither_weights_nor_momentum() -> None:
    # AdamW would apply weight decay, and the momentum of the steps before.
    idle = fitted(Line(), [1.0, 0.0, 0.0, -0.5, 0.0])
    assert torch.equal(weights(idle), weights(fitted(Line(), [1.0, -0.5])))
    assert idle.logged[-1]["train/idle_steps"] == 3.0
    assert idle.logged[-1]["train/skipped_steps"] == 0.0


def test_what_one_rank_finds_counts_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other rank of two has a loss that is not finite; this one sees nothing wrong.
    other = torch.tensor([1.0, 0.0, 1.0], dtype=torch.double)
    reduce = L.strategies.SingleDeviceStrategy.reduce

    def summed(self: Any, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return tensor + other if tensor.shape == other.shape else reduce(self, tensor, *args, **kwargs)

    monkeypatch.setattr(L.strategies.SingleDeviceStrategy, "reduce", summed)
    with pytest.raises(TrainingDiverged, match="step 1: the loss is not finite"):
        fitted(Line(), [1.0])


def test_the_counts_go_on_in_a_resumed_run(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1)
    module = fitted(Line(skip=True), [NAN, 0.0, 1.0], enable_checkpointing=True, callbacks=[saving])
    checkpoint = torch.load(next(tmp_path.glob("*.ckpt")), weights_only=True)
    resumed = Line()
    resumed.on_load_checkpoint(checkpoint)
    assert (resumed.num_skipped, resumed.num_idle) == (module.num_skipped, module.num_idle) == (1, 1)


# --- the share of changed weights ---------------------------------------------------------------------------------


def test_the_share_of_changed_weights_shows_updates_that_are_rounded_away() -> None:
    small = {"lr": 1e-6}
    full, low = fitted(Line(**small), [1.0] * 3), fitted(Line(**small, dtype=torch.bfloat16), [1.0] * 3)
    assert [step["train/changed_fraction"] for step in full.logged] == [1.0] * 3
    assert [step["train/changed_fraction"] for step in low.logged] == [0.0] * 3
    # Nothing else shows it.
    assert low.logged[-1]["train/grad_norm"] == pytest.approx(full.logged[-1]["train/grad_norm"], rel=0.01)


def test_the_share_is_that_of_all_weights_and_not_of_the_sample() -> None:
    large, small = torch.zeros(4096, 64), torch.zeros(10)
    before = sampled_weights([large, small])
    large[:, :16] += 1.0  # a quarter of the columns; an even stride would see all or nothing
    small += 1.0
    changed, total = changed_and_all(before, [large, small]).tolist()
    assert total == large.numel() + small.numel()
    assert changed / total == pytest.approx((large.numel() / 4 + 10) / total, abs=0.02)


def test_an_empty_slice_of_a_tensor_counts_for_nothing() -> None:
    empty, full = torch.zeros(0), torch.zeros(4)
    before = sampled_weights([empty, full])
    full += 1.0
    assert changed_and_all(before, [empty, full]).tolist() == [4.0, 4.0]
