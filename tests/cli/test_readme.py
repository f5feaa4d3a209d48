"""What README tells users to type."""

import re
from pathlib import Path

import pytest

from cli.app import run
from tests.datamodules.sources.test_pope_files import OFFICIAL, official
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]


def block_with(word: str, language: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return block


def test_the_callback_of_the_readme_runs_as_it_stands(
    policy_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = block_with("PrintReward", "python")
    (flag,) = re.findall(r"`(--callbacks\.mine=[\w.]+)`", Path("README.md").read_text())
    module, _, name = flag.partition("=")[2].rpartition(".")
    assert f"class {name}(" in recipe
    (policy_folder.parent / f"{module}.py").write_text(recipe)
    monkeypatch.syspath_prepend(policy_folder.parent)
    run(arguments("fit", policy_folder, flag, "--trainer.max_steps=1", "--trainer.limit_val_batches=0"))
    assert re.search(r"^tensor\(-?\d+\.\d*\)$", capsys.readouterr().out, re.MULTILINE)


def test_the_probes_of_the_readme_are_asked_and_the_best_checkpoint_is_kept(policy_folder: Path) -> None:
    root = policy_folder.parent
    probes = official(root, OFFICIAL)
    overlay = root / "probes.yaml"
    overlay.write_text(
        block_with("HallucinationMonitor", "yaml")
        .replace("coco_pope_popular.json", str(probes.file))
        .replace("val2014", probes.path)
        .replace("every_n_train_steps: 25", "every_n_train_steps: 1")
    )
    short = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    cli = run(arguments("fit", policy_folder, f"--config={overlay}", *short))
    # The random policy says yes, so to speak, to every question; one answer of three is yes.
    assert cli.model.signals.latest("hallucination/rate").value == pytest.approx(2 / 3)
    assert len(list(root.rglob("checkpoints/*.ckpt"))) == 1
