"""docs/metrics.md against what runs log: every logged key is explained, and every explained key is logged."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from algorithms import Completion, Prompt
from cli.app import run
from hallucination import AmberBenchmark, Benchmark, ChairBenchmark, HallusionBench, PopeBenchmark
from hallucination.amber_vocabulary import AmberVocabulary
from models import Policy
from rollouts import TransformersEngine
from rollouts.engine import SyncReport
from tests import test_mpo_training, test_training
from tests.callbacks.loop.test_hallucination_loop import CALIBRATOR, MONITOR
from tests.conftest import sharp_policy
from tests.lightning_modules.ahead.test_rollouts_ahead import AHEAD

# Logged by Lightning itself.
NOT_OURS = {"epoch", "hp_metric"}
# Parts of a documented key that stand for any name or number.
PLACEHOLDERS = {"NAME": r"\w+", "KIND": r"\w+", "_N": r"_\d+", "_K": r"_\d+"}
# Rewards that only the tests have.
OF_TESTS = {"rollout/even", "rollout/taste"}


class Talkative(TransformersEngine):
    """Samples as usual, but every completion makes claims; reports as an engine that takes over the weights."""

    last_sync = SyncReport(seconds=0.1, num_tensors=1, num_bytes=4)

    def generate(self, *args: Any, **kwargs: Any) -> list[list[Completion]]:
        text = "look red : red-circle , red-circle , blue-star , green-square </think>"
        return [
            [
                Completion(
                    token_ids=c.token_ids, behavior_logps=c.behavior_logps, text=text, finish_reason=c.finish_reason
                )
                for c in group
            ]
            for group in super().generate(*args, **kwargs)
        ]


class Even(test_training.EvenIsGood):
    """1 or 0 by the tokens, as a stand-in for a preference model."""

    is_rule = False


@cache
def documented() -> dict[str, re.Pattern[str]]:
    """The keys of docs/metrics.md, each with a pattern of what it may be in a log."""
    keys: dict[str, re.Pattern[str]] = {}
    for line in Path("docs/metrics.md").read_text().splitlines():
        first_cell = line.split("|")[1] if line.startswith("| `") else ""
        for key in re.findall(r"`([a-z_]+/\w+)`", first_cell):
            pattern = re.escape(key)
            for placeholder, meaning in PLACEHOLDERS.items():
                pattern = pattern.replace(placeholder, meaning)
            keys[key] = re.compile(pattern)
    return keys


def tags(folder: Path) -> set[str]:
    """Everything that TensorBoard shows of the runs below a folder."""
    found: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        accumulator = EventAccumulator(str(file))
        accumulator.Reload()
        for kind in ("scalars", "images", "histograms", "tensors"):
            found |= {tag.removesuffix("/text_summary") for tag in accumulator.Tags()[kind]}
    return {tag for tag in found if "/" in tag and tag not in NOT_OURS}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The tags of short runs of every kind."""
    root = tmp_path_factory.mktemp("runs")
    policy: Policy = sharp_policy()
    policy.model.save_pretrained(root / "policy")
    policy.processor.save_pretrained(root / "policy")
    for arguments in (*grpo(root / "policy"), *mpo(root / "policy"), *stages(root / "policy")):
        run(arguments)
    return tags(root) | of_benchmarks()


def of_benchmarks() -> set[str]:
    """What evaluation and the monitor log of benchmarks; tests/hallucination runs the commands with each."""
    said = Completion(token_ids=torch.ones(1).long(), behavior_logps=torch.zeros(1), text="yes", finish_reason="stop")
    place = {"category": "VD", "subcategory": "x", "set_id": "0", "figure_id": "0", "question_id": "0"}
    asked = Prompt(uid=0, key="0", question="?", answer="yes", facts=("dog",))
    table = {"dog": ["puppy"]}
    amber = AmberBenchmark()
    amber.vocabulary = AmberVocabulary(table)
    described, answered = {"hallu": ["dog"]}, {"type": "discriminative-relation"}
    questions: list[tuple[Benchmark, list[Prompt]]] = [
        (PopeBenchmark(), [replace(asked, columns={"category": "random"})]),
        (HallusionBench(), [replace(asked, columns=place)]),
        (ChairBenchmark(), [asked]),
        (amber, [replace(asked, columns=described), replace(asked, columns=answered, facts=None)]),
    ]
    found: set[str] = {"val/outside_benchmark"}
    for benchmark, prompts in questions:
        metric = benchmark.metric()
        benchmark.add(metric, prompts, [said] * len(prompts))
        found |= {f"{where}/{name}" for where in ("val", "hallucination") for name in metric.compute()}
    return found


def grpo(policy: Path) -> Sequence[list[str]]:
    engine = "--model.init_args.engine=tests.test_metrics_page.Talkative"
    everything = (
        engine, *MONITOR, *CALIBRATOR, "--callbacks.blind=BlindProbes", "--callbacks.blind.num_probes=4",
        "--callbacks.completions.every_n_rollouts=1", "--trainer.max_steps=4",
        "--model.init_args.evaluation={num_samples: 8, pass_at: [4, 8]}", "--model.init_args.sampling.group_size=8",
        "--model.init_args.grpo={kl_weight: 0.01, veto_log_ratio: 0.5}", "--data.init_args.prompts_per_rollout=2",
        "--model.init_args.reward.parts.preference.reward=tests.test_metrics_page.Even",
        "--data.init_args.buffer={capacity: 64, max_age: 16, replay_share: 0.5}",
    )  # fmt: skip
    ahead = ("--trainer.limit_val_batches=0", "--trainer.logger.version=ahead")
    costly = (*MONITOR, engine, "--callbacks.hallucination.max_time_share=1e-9", "--trainer.logger.version=costly",
              "--trainer.max_steps=3")  # fmt: skip
    return [
        test_training.arguments("fit", policy, *everything),
        test_training.arguments("fit", policy, *costly, "--trainer.limit_val_batches=0"),
        test_training.arguments("fit", policy, *AHEAD, *ahead),
    ]


def mpo(policy: Path) -> Sequence[list[str]]:
    held_out = ("--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.logger.version=files")
    online = ("--trainer.max_steps=2", "--trainer.limit_val_batches=0", "--trainer.logger.version=online")
    return [
        test_mpo_training.arguments(policy, *held_out),
        test_mpo_training.arguments(policy, *online, data=test_mpo_training.ONLINE),
    ]


def stages(policy: Path) -> Sequence[list[str]]:
    root = policy.parent
    short = (
        "--trainer.max_steps=2", "--trainer.val_check_interval=2", "--trainer.log_every_n_steps=1",
        f"--trainer.logger.save_dir={root}", f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false", "--callbacks.export=null",
    )  # fmt: skip
    pretrained = json.dumps({"class_path": "models.PretrainedPolicy", "init_args": {"path": str(policy)}})
    pairs = "--data.init_args.pairs.init_args"
    words = yaml.safe_load(Path("configs/tiny/stages/vision_tower.yaml").read_text())["model"]["init_args"]["words"]
    source = ("--data.init_args.source.init_args.num_train=64", f"--data.init_args.source.init_args.root={root}/data")
    return [
        [
            "fit", "--config=configs/tiny/stages/reward_model.yaml", *short,
            f"--model.init_args.reward_model.init_args.policy={pretrained}", "--model.init_args.max_tokens=512",
            f"{pairs}.num_train=64", f"{pairs}.num_val=16", f"{pairs}.root={root}/data",
        ],
        [
            "fit", "--config=configs/tiny/stages/adapter.yaml", *short, *source,
            f"--model.init_args.policy={pretrained}", "--data.init_args.source.init_args.num_val=8",
        ],
        [
            "fit", "--config=configs/tiny/stages/adapter.yaml", *short, *source, "--trainer.logger.version=words",
            "--model=lightning_modules.WordAlignmentModule", f"--model.init_args.policy={pretrained}",
            "--model.init_args.words_column=cells", "--model.init_args.learning.trainable=[adapter]",
            "--data.init_args.source.init_args.num_val=8",
        ],
        [
            "fit", "--config=configs/tiny/stages/vision_tower.yaml", *short, *source, "--trainer.max_epochs=2",
            f"--model.init_args.further={json.dumps({'cells': words})}",
        ],
    ]  # fmt: skip


def test_every_logged_key_is_explained(logged: set[str]) -> None:
    patterns = documented().values()
    unexplained = {tag for tag in logged if not any(pattern.fullmatch(tag) for pattern in patterns)}
    assert sorted(tag for tag in unexplained if not tag.startswith(tuple(OF_TESTS))) == []


def test_every_explained_key_is_logged(logged: set[str]) -> None:
    missing = [key for key, pattern in documented().items() if not any(map(pattern.fullmatch, logged))]
    assert missing == [], f"documented and never logged: {missing}"


def test_a_key_that_no_run_logs_would_be_found(logged: set[str]) -> None:
    assert len(documented()) > 80
    assert not any(re.fullmatch("val/bleu", tag) for tag in logged)
