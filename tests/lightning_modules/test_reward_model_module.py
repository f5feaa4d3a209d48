import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader

from algorithms import ConfigError, PreferencePair, Prompt
from callbacks import ExportPolicy
from lightning_modules import OptimizerConfig
from lightning_modules.reward_model.calibration_figure import calibration_figure, rendered
from lightning_modules.reward_model.module import RewardModelModule, is_tied
from lightning_modules.reward_model.pair_metrics import PairMargins, pair_metrics
from models import Policy, PolicySource
from models.reward_model import FreshRewardModel, PretrainedRewardModel
from tests.assertions import assert_same

L2 = math.log(2.0)


class Built(PolicySource):
    """A policy that is there already."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def build(self) -> Policy:
        return self.policy


class Pairs(L.LightningDataModule):
    """Batches of pairs as they are, for training and for validation."""

    def __init__(self, batches: Sequence[list[PreferencePair]], held_out: Sequence[list[PreferencePair]]) -> None:
        super().__init__()
        self.batches, self.held_out = batches, held_out

    def train_dataloader(self) -> Any:
        return DataLoader(self.batches, batch_size=None)  # pyright: ignore[reportArgumentType]

    def val_dataloader(self) -> Any:
        return DataLoader(self.held_out, batch_size=None)  # pyright: ignore[reportArgumentType]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


class Written(RewardModelModule):
    """Takes the scores from the answers themselves, so that every number can be checked by hand."""

    def pair_scores(self, pairs: Sequence[PreferencePair]) -> tuple[Tensor, Tensor]:
        sides = [[float(p.chosen) for p in pairs], [float(p.rejected) for p in pairs]]
        chosen, rejected = (torch.tensor(side) + 0.0 * self.loaded_reward_model.head.bias for side in sides)
        return chosen, rejected


def pair(prompt: Prompt, chosen: str, rejected: str, **columns: Any) -> PreferencePair:
    return PreferencePair(uid=0, prompt=prompt, chosen=chosen, rejected=rejected, **columns)


def module(policy: Policy, kind: type[RewardModelModule] = RewardModelModule, **settings: Any) -> RewardModelModule:
    torch.manual_seed(1)
    optimizer = OptimizerConfig(learning_rate=settings.pop("learning_rate", 1e-3))
    trainable = settings.pop("trainable", ["adapter", "language_model"])
    made = kind(FreshRewardModel(Built(policy)), trainable, optimizer, **settings)
    made.configure_model()
    return made


def trainer(folder: Path, **settings: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", devices=1, logger=TensorBoardLogger(folder, name="", version=""), log_every_n_steps=1,
        enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, **settings,
    )  # fmt: skip


@pytest.fixture
def preferred(prompts: list[Prompt]) -> list[PreferencePair]:
    """Pairs whose better answer names the colour of the image: nothing else tells the two sides apart."""
    colors = ["red", "blue", "green"]
    return [
        pair(prompts[i], colors[i], colors[j], kind="correctness" if j > i else "format")
        for i in range(3)
        for j in range(3)
        if i != j
    ]


def loss_of(made: RewardModelModule, pairs: list[PreferencePair], monkeypatch) -> tuple[Tensor, dict[str, float]]:
    logged: dict[str, float] = {}
    monkeypatch.setattr(
        made, "log", lambda name, value, **_: logged.update({name: float(torch.as_tensor(value).detach())})
    )
    return made.training_step(pairs, 0), logged


def test_the_loss_and_its_metrics_by_hand(policy: Policy, prompts: list[Prompt], monkeypatch) -> None:
    made = module(policy, Written)
    loss, logged = loss_of(made, [pair(prompts[0], "2", "1"), pair(prompts[1], "0", "3")], monkeypatch)
    assert_same(loss.detach(), torch.tensor([(math.log1p(math.exp(-1)) + math.log1p(math.exp(3))) / 2])[0])
    assert logged["train/accuracy"] == 0.5
    assert logged["train/margin"] == -1.0
    assert logged["train/tied_fraction"] == 0.0
    assert "train/too_long_fraction" not in logged


def test_scores_of_both_sides_come_from_one_forward(policy: Policy, preferred, monkeypatch) -> None:
    made = module(policy)
    scores = made.loaded_reward_model.scores
    calls: list[int] = []

    def counted(prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        calls.append(len(texts))
        return scores(prompts, texts)

    monkeypatch.setattr(made.loaded_reward_model, "scores", counted)
    chosen, rejected = made.pair_scores(preferred[1:3])
    assert calls == [4]
    assert_same(chosen[1], scores([preferred[2].prompt], [preferred[2].chosen])[0])
    assert_same(rejected[1], scores([preferred[2].prompt], [preferred[2].rejected])[0])


def test_ties_are_counted_and_left_out_of_the_loss(policy: Policy, prompts: list[Prompt], monkeypatch) -> None:
    untied = [pair(prompts[0], "2", "1"), pair(prompts[1], "0", "3", chosen_score=2.0, rejected_score=1.0)]
    ties = [pair(prompts[0], "5", "5"), pair(prompts[1], "0", "9", chosen_score=1.0, rejected_score=1.0)]
    made = module(policy, Written)
    without, _ = loss_of(made, untied, monkeypatch)
    loss, logged = loss_of(made, [*untied, *ties], monkeypatch)
    assert_same(loss.detach(), without.detach())
    assert logged["train/tied_fraction"] == 0.5


def test_a_pair_is_tied_by_its_text_or_by_both_of_its_scores(prompts: list[Prompt]) -> None:
    one = pair(prompts[0], "red", "blue")
    assert not is_tied(one)
    assert not is_tied(replace(one, chosen_score=1.0))
    assert not is_tied(replace(one, chosen_score=1.0, rejected_score=0.0))
    assert is_tied(replace(one, chosen_score=1.0, rejected_score=1.0))
    assert is_tied(replace(one, rejected="red"))


def test_a_batch_of_ties_gives_every_parameter_a_gradient_of_zeros(policy: Policy, prompts, monkeypatch) -> None:
    made = module(policy)
    loss, logged = loss_of(made, [pair(prompts[0], "red", "red")], monkeypatch)
    loss.backward()
    assert logged["train/tied_fraction"] == 1.0
    assert all(p.grad is not None and not p.grad.any() for p in made.parameters() if p.requires_grad)


def test_pairs_with_a_longer_conversation_are_left_out_and_counted(policy: Policy, prompts, monkeypatch) -> None:
    short, long = pair(prompts[0], "2", "1"), pair(prompts[0], "1", "1 1 1 1")
    longest = len(module(policy).loaded_reward_model.token_ids(prompts[0], "2"))
    made = module(policy, Written, max_tokens=longest)
    _, logged = loss_of(made, [short, long, pair(prompts[0], "1", "1")], monkeypatch)
    assert logged["train/too_long_fraction"] == 0.5
    assert logged["train/margin"] == 1.0


def test_a_longest_length_below_one_is_refused(policy: Policy) -> None:
    with pytest.raises(
        ConfigError, match=r"model.max_tokens must be at least 1, got 0: every pair would be left out; null keeps all"
    ):
        module(policy, max_tokens=0)


def test_held_out_metrics_by_hand() -> None:
    values = pair_metrics(torch.tensor([1.0, -1.0, 0.0, 3.0]), ["format", "format", "correctness", "correctness"])
    losses = [math.log1p(math.exp(-m)) for m in (1.0, -1.0, 0.0, 3.0)]
    # A tie of scores is wrong for the accuracy, and an even guess for the calibration.
    sure, surer = 1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(-3.0))
    assert {name: round(float(value), 5) for name, value in values.items()} == {
        "pair_accuracy": 0.5,
        "pair_accuracy_correctness": 0.5,
        "pair_accuracy_format": 0.5,
        "pair_accuracy_macro": 0.5,
        "margin": 0.75,
        "loss": round(sum(losses) / 4, 5),
        "calibration_error": round((2 * (sure - 0.5) + (1 - surer)) / 4, 5),
    }


def rank_margins(rank: int, file: str, results: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metric = PairMargins()
    metric.update(torch.zeros(0), [])
    if rank == 1:
        metric.update(torch.tensor([1.0, -2.0]), ["format", "dropout_ntp"])
        metric.update(torch.tensor([3.0]), ["given"])
    margins, kinds = metric.compute()
    results[rank] = (margins.tolist(), kinds)
    torch.distributed.destroy_process_group()


@pytest.mark.long
def test_ranks_share_their_pairs_even_when_one_has_none(tmp_path: Path) -> None:
    with torch.multiprocessing.Manager() as manager:
        results = manager.dict()
        spawn(rank_margins, args=(str(tmp_path / "rendezvous"), results), nprocs=2)
        expected = ([1.0, -2.0, 3.0], ["format", "dropout_ntp", "given"])
        assert dict(results) == {0: expected, 1: expected}


def test_training_learns_which_answer_fits_the_image(policy: Policy, preferred, tmp_path: Path) -> None:
    made = module(policy)
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    fit = trainer(tmp_path, max_steps=60, check_val_every_n_epoch=60)
    fit.fit(made, Pairs([preferred], [preferred[:4], preferred[4:]]))
    assert fit.callback_metrics["val/pair_accuracy"] == 1.0
    assert fit.callback_metrics["val/loss"] < 0.3 < L2
    changed = {name for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert any("multi_modal_projector" in name for name in changed)
    assert any("language_model" in name for name in changed)
    assert "reward_model.head.weight" in changed
    assert not any("vision_tower" in name for name in changed)


def test_validation_logs_metrics_and_draws_calibration(policy: Policy, preferred, tmp_path: Path) -> None:
    ties = [pair(preferred[0].prompt, "red", "red", kind="tied")]
    trainer(tmp_path).validate(module(policy), Pairs([], [preferred, ties]), verbose=False)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()
    assert {tag for tag in tags["scalars"] if tag.startswith("val/")} == {
        "val/pair_accuracy", "val/pair_accuracy_correctness", "val/pair_accuracy_format",
        "val/pair_accuracy_macro", "val/margin", "val/loss", "val/calibration_error",
    }  # fmt: skip
    assert tags["images"] == ["reward_model/calibration"]


def test_a_second_validation_does_not_remember_the_first(policy: Policy, prompts, tmp_path: Path) -> None:
    made = module(policy, Written)
    for margin in ("1", "5"):
        validate = trainer(tmp_path / margin)
        validate.validate(made, Pairs([], [[pair(prompts[0], margin, "0")]]), verbose=False)
        assert validate.callback_metrics["val/margin"] == float(margin)


def test_validation_without_an_ordered_pair_logs_nothing(policy: Policy, prompts, tmp_path: Path) -> None:
    validate = trainer(tmp_path)
    validate.validate(module(policy), Pairs([], [[pair(prompts[0], "red", "red")]]), verbose=False)
    assert dict(validate.callback_metrics) == {}


def test_the_exported_folder_is_a_reward_model(policy: Policy, preferred, tmp_path: Path) -> None:
    made = module(policy)
    fit = trainer(tmp_path, max_steps=1, callbacks=[ExportPolicy(str(tmp_path / "export"))], limit_val_batches=0)
    fit.fit(made, Pairs([preferred], []))
    prompts, texts = [p.prompt for p in preferred], [p.chosen for p in preferred]
    with torch.no_grad():
        loaded = PretrainedRewardModel(str(tmp_path / "export")).build()
        assert_same(loaded.scores(prompts, texts), made.loaded_reward_model.eval().scores(prompts, texts))


def test_prompts_are_measured_with_their_image_tokens(policy: Policy, prompts: list[Prompt]) -> None:
    assert module(policy).prompt_length(prompts[0]) == len(policy.encoder.encode(prompts[0]).token_ids)


def test_the_figure_shows_the_curve_and_every_margin() -> None:
    margins = torch.linspace(-2.0, 4.0, 50)
    figure = calibration_figure(margins)
    left, right = figure.axes
    assert len(cast(Any, left.lines[1].get_xdata())) > 3
    assert sum(cast(Any, bar).get_height() for bar in right.patches) == 50
    assert "66.0%" in right.get_title()
    assert rendered(figure).shape[2] == 4
