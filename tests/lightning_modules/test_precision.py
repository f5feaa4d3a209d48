"""What learns has 32 bits whatever the policy's type, frozen weights keep theirs, and so do buffers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision

from algorithms import ConfigError, Prompt
from cli.app import run
from lightning_modules import LearningConfig, OptimizerConfig, RewardModelModule, VisionTowerModule
from lightning_modules.policy_module import PolicyModule
from lightning_modules.precision import converter
from lightning_modules.references import ReferenceContext
from models import FreshRewardModel, LoRAConfig, PretrainedPolicy, TinyVisionTower
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

LOW = torch.bfloat16


def types(module: Any, *, learning: bool) -> set[torch.dtype]:
    """Those of learning or of frozen parameters; frozen norms, which may have any, are left out."""
    norms = {id(p) for m in module.modules() if isinstance(m, torch.nn.LayerNorm) for p in m.parameters()}
    chosen = [p for p in module.parameters() if p.requires_grad == learning]
    return {p.dtype for p in chosen if learning or id(p) not in norms}


def learner(folder: Path, **learning: Any) -> PolicyModule:
    module = PolicyModule(PretrainedPolicy(str(folder), dtype="bfloat16"), LearningConfig(**learning))
    module.configure_model()
    return module


@pytest.mark.parametrize(
    "learning",
    [{"trainable": ("adapter",)}, {"trainable": ("vision_tower", "language_model")}, {"lora": LoRAConfig(rank=2)},
     {"trainable": ("adapter",), "lora": LoRAConfig(rank=2)}],
    ids=["adapter", "tower and language model", "lora", "adapter and lora"],
)  # fmt: skip
def test_what_learns_has_32_bits_in_a_policy_of_16(policy_folder: Path, learning: dict[str, Any]) -> None:
    module = learner(policy_folder, **learning)
    assert types(module, learning=True) == {torch.float32}
    assert types(module, learning=False) == {LOW}


def test_a_policy_in_which_nothing_learns_keeps_its_type(policy_folder: Path) -> None:
    assert types(learner(policy_folder), learning=False) == {LOW}


def test_a_user_who_insists_gets_what_learns_in_16_bits(policy_folder: Path) -> None:
    module = learner(policy_folder, trainable=("adapter",), allow_low_precision=True)
    assert types(module, learning=True) == {LOW}


def test_the_backbone_of_a_reward_model_learns_in_32_bits_too(policy_folder: Path) -> None:
    source = FreshRewardModel(PretrainedPolicy(str(policy_folder), dtype="bfloat16"))
    module = RewardModelModule(source, ["adapter"], OptimizerConfig())
    module.configure_model()
    assert types(module, learning=True) == {torch.float32}
    assert types(module, learning=False) == {LOW}


@pytest.mark.parametrize("flags", [("trainable=[adapter,language_model]",), ("trainable=[vision_tower]",)])
def test_a_run_in_mixed_precision_trains_any_part_with_moments_of_32_bits(policy_folder: Path, flags: Any) -> None:
    learning = [f"--model.init_args.learning.{flag}" for flag in flags]
    cli = run(
        arguments(
            "fit", policy_folder, "--trainer.precision=bf16-mixed", "--model.init_args.policy.dtype=bfloat16",
            "--trainer.max_steps=2", "--trainer.limit_val_batches=0", *learning,
        )
    )  # fmt: skip
    states = cli.trainer.optimizers[0].state.values()
    assert {value.dtype for state in states for value in state.values()} == {torch.float32}
    assert cli.trainer.callback_metrics["train/changed_fraction"] > 0.9


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_a_precision_that_rounds_updates_away_is_refused_before_anything_is_loaded(precision: str) -> None:
    trainer: Any = SimpleNamespace(precision=precision, state=SimpleNamespace(fn="fit"), strategy=None)
    nowhere = PretrainedPolicy("/no/such/folder")
    modules = [
        PolicyModule(nowhere, LearningConfig(trainable=("adapter",))),
        PolicyModule(nowhere, LearningConfig(lora=LoRAConfig())),
        RewardModelModule(FreshRewardModel(nowhere), [], OptimizerConfig()),
        VisionTowerModule(TinyVisionTower(), ["red"], OptimizerConfig()),
    ]
    for module in modules:
        module._trainer = trainer
        with pytest.raises(
            ConfigError, match=rf"trainer.precision is {precision}, .*write trainer.precision: bf16-mix"
        ):
            module.configure_model()


def test_the_sentence_names_the_key_that_insists_where_there_is_one(policy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.policy.dtype: bfloat16 .*allow_low_precision: true insists\."):
        run(arguments("fit", policy_folder, "--trainer.precision=bf16-true"))


def test_evaluation_may_compute_in_16_bits(policy_folder: Path) -> None:
    cli = run(arguments("validate", policy_folder, "--trainer.precision=bf16-true"))
    assert types(cli.model, learning=True) == {LOW}


def test_parts_of_two_types_without_autocast_are_refused_with_both_ways_out(policy_folder: Path) -> None:
    low = "--model.init_args.policy.dtype=bfloat16"
    with pytest.raises(ConfigError, match=r"32-true and the policy's parts are bfloat16 and float32: .*bf16-mixed, or"):
        run(arguments("fit", policy_folder, low, "--model.init_args.learning.trainable=[adapter]"))


# --- buffers and references ---------------------------------------------------------------------------------------


def frequencies(module: Any) -> dict[str, torch.Tensor]:
    found = {name: buffer.clone() for name, buffer in module.named_buffers() if name.endswith("inv_freq")}
    assert found
    return found


def test_rotary_frequencies_are_not_rounded_with_the_weights(policy_folder: Path) -> None:
    module = learner(policy_folder)
    before = frequencies(module)
    assert any(not torch.equal(b, b.to(LOW).float()) for b in before.values())
    convert = converter(SimpleNamespace(precision_plugin=HalfPrecision("bf16-true")))  # type: ignore[arg-type]
    for converted in (module.to(LOW), convert(learner(policy_folder))):
        assert types(converted, learning=False) == {LOW}
        for name, buffer in frequencies(converted).items():
            assert buffer.dtype == torch.float32
            assert torch.equal(buffer, before[name])


def test_the_reference_gives_the_numbers_of_the_policy_before_the_first_step(
    policy_folder: Path, prompts: list[Prompt]
) -> None:
    module = learner(policy_folder, trainable=("adapter",))
    context = ReferenceContext(
        source=module.policy_source, policy=module.loaded_policy, convert=lambda model: model
    )  # fmt: skip
    reference = context.build()
    own_types = {name: p.dtype for name, p in module.loaded_policy.named_parameters()}
    assert {name: p.dtype for name, p in reference.named_parameters()} == own_types
    with torch.autocast("cpu", dtype=LOW), torch.no_grad():
        own, others = (p.text_scores(prompts, ["red : 2"] * 3)[0].logps for p in (module.loaded_policy, reference))
    assert torch.equal(own, others)
