"""Recipes for real models learn: small twins of them run, and what should move moves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from algorithms.experience_batch import stack_completions
from cli.app import run
from cli.given.overlays import bases_of
from cli.given.settings import read_config
from models import PretrainedPolicy
from rollouts import SamplingConfig, TransformersEngine
from tests.recipes.twins import COUNTS, PATHS, SIZES, STEPS, TWINS, WATCHES, arguments

# Overlays are no runs. Runs of the tiny world, and of real parts that fit on a laptop, are run as they are; evaluations
# train nothing.
NOT_FOR_TWINS = ("tiny", "real", "evaluation")
RECIPES = sorted(
    str(path.relative_to("configs").with_suffix(""))
    for path in Path("configs").rglob("*.yaml")
    if path.parts[1] not in NOT_FOR_TWINS and not bases_of(read_config(str(path)))
)
# Nats, for log-probabilities of one token that engine and learner compute in bfloat16 from the same weights. The
# largest seen is 0.024.
LARGEST_GAP = 0.2


class StartWeights(Callback):
    """Keeps the parameters with which training starts."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.weights = {name: p.detach().clone() for name, p in pl_module.named_parameters()}


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    module: Any
    start: dict[str, torch.Tensor]
    seen: list[dict[str, float]]
    root: Path

    def changed(self, *, learning: bool) -> float:
        """Return the share of weights that are not what they were at the start."""
        chosen = {n: p for n, p in self.module.named_parameters() if p.requires_grad == learning}
        changed = sum(int((p.detach() != self.start[n]).sum()) for n, p in chosen.items())
        return changed / max(1, sum(p.numel() for p in chosen.values()))


def outcome(name: str, root: Path, *extra: str) -> Outcome:
    cli = run(arguments(name, root, *extra))
    start, recorder = (
        next(c for c in cli.trainer.callbacks if type(c).__name__ == kind) for kind in ("StartWeights", "Recorder")
    )
    return Outcome(cli.model, start.weights, recorder.seen, root)


@torch.no_grad()
def engine_gap(module: Any) -> float:
    """Return the largest difference of engine and learner in the log-probability of one token, in nats."""
    policy, engine = module.loaded_policy, getattr(module, "engine", None) or TransformersEngine()
    data = module.trainer.datamodule
    prompts = list(data.prompts["val"])[:2]
    with module.trainer.precision_plugin.forward_context():
        engine.sync(policy, version=0)
        groups = engine.generate(prompts, SamplingConfig(group_size=4, max_new_tokens=12), seed=0)
        rows = torch.arange(len(prompts)).repeat_interleave(4)
        zeros = torch.zeros(len(rows))
        batch = stack_completions(
            [completion for group in groups for completion in group],
            prompt_uids=rows, group_ids=rows, advantages=zeros, policy_versions=zeros.long(),
        )  # fmt: skip
        scores = policy.completion_scores(prompts, rows, batch.completion_ids, batch.is_completion)
    return (scores.logps.cpu() - batch.behavior_logps)[batch.is_completion].abs().max().item()


def test_every_recipe_for_a_real_model_has_a_twin() -> None:
    assert sorted(TWINS) == RECIPES, "write a twin of the new recipe in tests/recipes/twins.py"


@pytest.mark.parametrize("name", RECIPES)
def test_a_twin_changes_nothing_but_sizes_paths_and_counts(name: str, tmp_path: Path) -> None:
    keys = [flag.removeprefix("--").partition("=")[0] for flag in arguments(name, tmp_path)[2:]]
    allowed = SIZES | PATHS | COUNTS | WATCHES
    assert [key for key in keys if key.rpartition(".")[2] not in allowed] == []


@pytest.mark.recipes
@pytest.mark.parametrize("name", RECIPES)
def test_a_twin_learns_what_it_should_and_nothing_else(name: str, tmp_path: Path, record_property: Any) -> None:
    ended = outcome(name, tmp_path)
    module = ended.module
    assert module.trainer.global_step >= STEPS
    # Learning weights and Adam's moments in 32 bits, frozen weights in the recipe's type, positions exact.
    types = {(p.requires_grad, p.dtype) for p in module.parameters()}
    assert types == {(True, torch.float32), (False, torch.bfloat16)}
    states = module.trainer.optimizers[0].state.values()
    assert {value.dtype for state in states for value in state.values()} == {torch.float32}
    frequencies = [b for n, b in module.named_buffers() if n.endswith("inv_freq")]
    assert frequencies
    assert {b.dtype for b in frequencies} == {torch.float32}
    # What learns has moved, and nothing else.
    assert ended.changed(learning=True) >= 0.9
    assert ended.changed(learning=False) == 0.0
    assert 0.9 <= max(step.get("train/changed_fraction", 0.0) for step in ended.seen) <= 1.0
    assert ended.seen[-1]["train/skipped_steps"] == 0.0
    gap = max(engine_gap(module), *(step.get("engine/logp_gap_max", 0.0) for step in ended.seen))
    assert gap <= LARGEST_GAP
    check_export(ended)
    record_property("row", row(f"`{name}`", ended, gap))


def row(name: str, ended: Outcome, gap: float | None = None) -> str:
    """Return a row of the table in docs/experiments.md, which ``conftest`` prints."""
    shares = " | ".join(f"{ended.changed(learning=learning):.1%}" for learning in (True, False))
    idle = int(ended.seen[-1]["train/idle_steps"])
    steps = f"{ended.module.trainer.global_step} ({idle} idle)"
    return f"| {name} | {steps} | {shares} | {'' if gap is None else f'{gap:.3f}'} |"


def check_export(ended: Outcome) -> None:
    """The export loads, and holds what was learnt."""
    exported = PretrainedPolicy(str(ended.root / "export")).build()
    kept = dict(exported.model.named_parameters())
    learnt = [(n, p) for n, p in ended.module.loaded_policy.model.named_parameters() if p.requires_grad]
    for name, parameter in learnt:
        # LoRA is merged into the layer that it belongs to.
        if ".lora_" not in name:
            assert torch.equal(kept[name].float(), parameter.detach())
    assert not any(".lora_" in name for name in kept)
    assert all(p.isfinite().all() for p in kept.values())


@pytest.mark.recipes
@pytest.mark.parametrize("name", ["qwen2_5_vl/grpo", "r1v2/grpo"])
def test_a_twin_would_show_updates_that_are_rounded_away(name: str, tmp_path: Path, record_property: Any) -> None:
    insisting = ("--trainer.precision=bf16-true", "--model.init_args.learning.allow_low_precision=true")
    ended = outcome(name, tmp_path, *insisting)
    # Below what the test above asks for; so is the share that the run itself logs.
    assert ended.changed(learning=True) < 0.9
    assert ended.seen[-1]["train/changed_fraction"] < 0.5
    record_property("row", row(f"`{name}` with `bf16-true`", ended))
