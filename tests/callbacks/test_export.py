"""What an export must be: a folder that transformers reads by itself, in which nothing is missing or renamed."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText

from algorithms import Prompt
from callbacks import ExportPolicy
from cli.app import run
from lightning_modules import AlignmentModule, LearningConfig
from lightning_modules.policy_module import PolicyModule
from models import LoRAConfig, Policy, PolicySource, PretrainedPolicy
from tests.models.families import FAMILIES, family
from tests.models.merged_lora import lora_merged


class Built(PolicySource):
    """A family's policy."""

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self) -> Policy:
        return family(self.name)


def module_with_lora(name: str) -> PolicyModule:
    """Return a module whose LoRA layers, on all parts, change what the policy says."""
    lora = LoRAConfig(parts=("vision_tower", "adapter", "language_model"), rank=2, alpha=4)
    module = PolicyModule(Built(name), LearningConfig(lora=lora))
    generator = torch.Generator().manual_seed(1)
    for parameter_name, parameter in module.loaded_policy.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return module.eval()


def export(module: L.LightningModule, folder: Path) -> Path:
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    module.trainer = trainer
    ExportPolicy(str(folder)).on_fit_end(trainer, module)
    return folder


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def greedy(policy: Policy, model: Any, prompt: Prompt) -> list[int]:
    text, images = policy.encoder.chat_text(prompt), [image.load() for image in prompt.images]
    inputs = policy.processor(text=[text], images=images, return_tensors="pt")
    banned = policy.banned_token_ids.tolist()
    return model.generate(**inputs, do_sample=False, max_new_tokens=6, suppress_tokens=banned)[0].tolist()


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_reads_an_export_whole_and_it_says_the_same(name: str, prompts: list[Prompt], tmp_path) -> None:
    module = module_with_lora(name)
    policy = module.loaded_policy
    before = weights(policy.model)
    expected = greedy(policy, policy.model, prompts[2])
    with lora_merged(policy.model):
        merged = weights(policy.model)
    folder = export(module, tmp_path / "export")

    read, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert type(read) is type(policy.model)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert read.state_dict().keys() == merged.keys()
    assert all(torch.equal(tensor, merged[key]) for key, tensor in read.state_dict().items())
    assert greedy(policy, read, prompts[2]) == expected
    with safe_open(folder / "model.safetensors", framework="pt") as tensors:
        assert not [key for key in tensors.keys() if "lora" in key or "base_layer" in key]  # noqa: SIM118
    assert not [path.name for path in folder.iterdir() if "adapter" in path.name]
    assert "peft" not in (folder / "config.json").read_text()

    after = weights(policy.model)
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_an_export_is_a_policy_again(name: str, prompts: list[Prompt], tmp_path: Path) -> None:
    policy = family(name)
    module = PolicyModule(Built(name), LearningConfig(trainable=("adapter",)))
    again = PretrainedPolicy(str(export(module, tmp_path / "export"))).build()
    for prompt in prompts:
        one, other = policy.encoder.encode(prompt), again.encoder.encode(prompt)
        assert torch.equal(one.token_ids, other.token_ids)
        assert all(torch.equal(one.vision[key], other.vision[key]) for key in one.vision)
    ids = torch.full((3, 4), 20)
    scores = [
        p.completion_scores(prompts, torch.arange(3), ids, torch.ones_like(ids, dtype=torch.bool)).logps.detach()
        for p in (policy.eval(), again.eval())
    ]
    torch.testing.assert_close(*scores, rtol=0.0, atol=1e-6)


def test_a_second_export_says_the_same_and_replaces_the_first(prompts: list[Prompt], tmp_path: Path) -> None:
    module = module_with_lora("siglip_llava")
    first = (export(module, tmp_path / "export") / "model.safetensors").read_bytes()
    assert (export(module, tmp_path / "export") / "model.safetensors").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.long
def test_a_checkpoint_is_exported_on_demand(tmp_path: Path) -> None:
    policy = family("siglip_llava")
    policy.model.save_pretrained(tmp_path / "base")
    policy.processor.save_pretrained(tmp_path / "base")
    command = [
        "validate", "--config=configs/tiny/grpo.yaml", f"--model.init_args.policy.path={tmp_path}/base",
        f"--data.init_args.source.root={tmp_path}/data", "--data.init_args.source.num_train=4",
        "--data.init_args.source.num_val=2", "--data.init_args.source.num_test=2",
        f"--trainer.logger.save_dir={tmp_path}", "--trainer.limit_val_batches=0",
    ]  # fmt: skip
    trained = run(command)
    nn.init.constant_(trained.model.policy.model.lm_head.weight, 0.5)
    trained.trainer.save_checkpoint(tmp_path / "step.ckpt")
    assert not (tmp_path / "export").exists()
    run(
        [
            *command, f"--ckpt_path={tmp_path}/step.ckpt", "--callbacks.export=callbacks.ExportPolicy",
            f"--callbacks.export.folder={tmp_path}/export",
            "--callbacks.export.after=validate",
        ]
    )  # fmt: skip
    read = AutoModelForImageTextToText.from_pretrained(tmp_path / "export")
    assert read.lm_head.weight.eq(0.5).all()


def test_a_command_that_was_not_asked_to_export_leaves_the_folder_alone(tmp_path: Path) -> None:
    module = AlignmentModule(Built("siglip_llava"), LearningConfig(trainable=("adapter",)))
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    for after, stage in (("fit", "validate"), ("fit", "fit"), ("validate", "test")):
        ExportPolicy(str(tmp_path / "export"), after=after).teardown(trainer, module, stage)
    ExportPolicy(str(tmp_path / "export"), after="validate").on_fit_end(trainer, module)
    assert not (tmp_path / "export").exists()


def test_an_export_without_a_folder_lies_where_the_trainer_writes(tmp_path: Path) -> None:
    module = AlignmentModule(Built("siglip_llava"), LearningConfig(trainable=("adapter",)))
    trainer = L.Trainer(
        accelerator="cpu", default_root_dir=tmp_path, logger=False, enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    module.trainer = trainer
    callback = ExportPolicy()
    callback.setup(trainer, module, "fit")
    callback.on_fit_end(trainer, module)
    assert (tmp_path / "export" / "model.safetensors").is_file()
