"""What the pages print in Python and YAML runs as it is printed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from algorithms import ConfigError
from cli.app import run
from models import Policy, PretrainedPolicy
from tests.datamodules.sources.test_pope_files import OFFICIAL, official
from tests.pages.blocks import block_with
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

QUESTION = {"question": "<image> how many red ?", "image": "1.png"}


@pytest.fixture
def here(policy: Policy, tmp_path: Path) -> Path:
    """A folder in which to stand, with ``my_model``, ``my_data`` and ``my_pairs``."""
    policy.model.save_pretrained(tmp_path / "my_model")
    policy.processor.save_pretrained(tmp_path / "my_model")  # pyright: ignore[reportAttributeAccessIssue]
    prompts = [{**QUESTION, "answer": str(number % 3)} for number in range(10)]
    pairs = [{**QUESTION, "chosen": f"{number % 3}", "rejected": "none"} for number in range(12)]
    for name, rows in (("my_data", prompts), ("my_pairs", pairs)):
        (tmp_path / name).mkdir()
        for split in ("train", "val"):
            text = "".join(
                json.dumps(row | {"question": f"{row['question']} {i}"}) + "\n" for i, row in enumerate(rows)
            )
            (tmp_path / name / f"{split}.jsonl").write_text(text)
        Image.new("RGB", (48, 48), (255, 0, 0)).save(tmp_path / name / "1.png")
    (tmp_path / "my_pairs" / "val.jsonl").unlink()
    return tmp_path


def executed(page: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names after the Python of a page has run in the folder of the user."""
    recipe = block_with(page, "L.Trainer", "python")
    assert len([line for line in recipe.splitlines() if line.strip()]) <= 12
    monkeypatch.chdir(here)
    names: dict[str, Any] = {}
    before = set(here.rglob("*"))
    exec(compile(recipe, page, "exec"), names)
    written = {path.relative_to(here).parts[0] for path in set(here.rglob("*")) - before}
    assert written == {"runs"}, "neither into the user's folders nor beside them"
    return names


def test_grpo_runs_from_python_as_printed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = executed("grpo.md", here, monkeypatch)
    assert "val/greedy_accuracy" in names["module"].trainer.callback_metrics
    assert names["module"].trainer.global_step == 4
    assert names["module"].num_completions == 64


def test_mpo_runs_from_python_without_engine_and_reward_as_printed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = executed("mpo.md", here, monkeypatch)
    assert names["trainer"].global_step == 4
    assert "val/preference_accuracy" in names["trainer"].callback_metrics
    assert "val/greedy_accuracy" not in names["trainer"].callback_metrics
    before = PretrainedPolicy("my_model").build().model.state_dict()
    after = names["module"].policy.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    # Pairs alone leave nothing to answer.
    for command in (names["trainer"].validate, names["trainer"].test, names["trainer"].predict):
        with pytest.raises(ConfigError, match=r"got PairDataModule: pairs alone are for fit"):
            command(names["module"], datamodule=names["data"])


def test_the_reward_function_and_the_callback_of_the_page_run_as_they_stand(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path("docs/bring_your_own.md").read_text()
    recipes = [block_with("bring_your_own.md", word, "python") for word in ("PrintReward", "def short")]
    (flag,) = re.findall(r"`(--callbacks\.mine=[\w.]+)`", page)
    reward = re.findall(r"--model\.reward\.parts\.short\S+", block_with("bring_your_own.md", "parts.short", "bash"))
    assert len(reward) == 3
    (policy_folder.parent / "my_module.py").write_text("\n\n".join(recipes))
    monkeypatch.syspath_prepend(policy_folder.parent)
    cli = run(arguments("fit", policy_folder, flag, *reward, "--trainer.max_steps=1", "--trainer.limit_val_batches=0"))
    assert re.search(r"^tensor\(-?\d+\.\d*\)$", capsys.readouterr().out, re.MULTILINE)
    assert cli.trainer.callback_metrics["rollout/short"] == 1.0


def test_the_probes_of_the_page_are_asked_and_the_best_checkpoint_is_kept(policy_folder: Path) -> None:
    root = policy_folder.parent
    probes = official(root, OFFICIAL)
    overlay = root / "probes.yaml"
    overlay.write_text(
        block_with("hallucination.md", "HallucinationMonitor", "yaml")
        .replace("coco_pope_popular.json", str(probes.file))
        .replace("val2014", probes.path)
        .replace("every_n_train_steps: 25", "every_n_train_steps: 1")
    )
    short = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    cli = run(arguments("fit", policy_folder, f"--config={overlay}", *short))
    # The random policy says yes, so to speak, to every question; one answer of three is yes.
    assert cli.model.signals.latest("hallucination/rate").value == pytest.approx(2 / 3)
    assert len(list(root.rglob("checkpoints/*.ckpt"))) == 1


def test_a_reward_with_a_gate_and_a_table_of_metrics_are_laid_over_grpo_as_they_stand(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = policy_folder.parent
    (root / "my_module.py").write_text(block_with("bring_your_own.md", "def short", "python"))
    monkeypatch.syspath_prepend(root)
    (root / "reward.yaml").write_text(block_with("grpo.md", "my_module.short", "yaml"))
    table = block_with("tracking.md", "csv.yaml", "yaml").replace("save_dir: runs", f"save_dir: {root}/runs")
    (root / "csv.yaml").write_text(table)
    # The flags of the tests would change the logger of the page.
    given = [flag for flag in arguments("fit", policy_folder) if not flag.startswith("--trainer.logger")]
    overlays = (f"--config={root}/reward.yaml", f"--config={root}/csv.yaml")
    cli = run([*given, *overlays, "--trainer.max_steps=1", "--trainer.limit_val_batches=0"])
    assert cli.model.reward.parts["short"].gate == "accuracy"
    assert cli.trainer.callback_metrics["rollout/short"] == 1.0
    (written,) = root.rglob("metrics.csv")
    assert "rollout/short" in written.read_text().splitlines()[0]
    assert list(written.parent.glob("events.out.tfevents.*"))
