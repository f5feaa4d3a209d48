"""Teaches the tiny policy to answer with letters and with YES and NO, words that its own world does not have."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

from cli.app import run
from cli.built import built_folder
from evaluation.tiny.questions import NEW_WORDS
from storage import whole_folder

BASE = "configs/tiny/stages/adapter.yaml"


def base_policy(seed: int) -> Path:
    """Return the folder of the tiny policy; build it if it is missing."""
    folder = built_folder(BASE, seed)
    if not folder.is_dir():
        # The shortest command that builds it.
        run(["validate", "--config", "configs/tiny/grpo.yaml", "--seed_everything", str(seed),
             "--trainer.limit_val_batches=1", "--trainer.logger.save_dir=runs/evaluation-tiny"])  # fmt: skip
    return folder


def with_words(policy: Path, words: Sequence[str], folder: Path, *, seed: int) -> None:
    """Write a policy with further words in its vocabulary, whose embeddings are random.

    Args:
        policy: a tiny policy in Hugging Face format.
        words: the new words.
        folder: where to write.
        seed: seed of their embeddings.
    """
    with whole_folder(folder, replace=True) as draft:
        shutil.copytree(policy, draft, dirs_exist_ok=True)
        file = draft / "tokenizer.json"
        tokenizer = json.loads(file.read_text(encoding="utf-8"))
        vocabulary = tokenizer["model"]["vocab"]
        for word in words:
            # New ids follow the old ones, so that the rows of old embeddings keep their words.
            vocabulary.setdefault(word, len(vocabulary))
        file.write_text(json.dumps(tokenizer), encoding="utf-8")
        model = AutoModelForImageTextToText.from_pretrained(policy)
        torch.manual_seed(seed)
        # Without mean_resizing, which would draw all new rows around the mean of the old ones.
        model.resize_token_embeddings(len(vocabulary), mean_resizing=False)
        model.save_pretrained(draft)


def taught_policy(base: Path, lessons: Path, folder: Path, *, steps: int, seed: int) -> Path:
    """Return the folder of the policy that has learnt the answers of the three benchmarks; train it if it is missing.

    Args:
        base: the tiny policy.
        lessons: folder of demonstrations.
        folder: where to write.
        steps: optimizer steps of 32 rows.
        seed: seed of everything.
    """
    if not folder.is_dir():
        start = folder.with_name(f"{folder.name}-start")
        with_words(base, NEW_WORDS, start, seed=seed)
        run([
            "fit", "--config", BASE, "--seed_everything", str(seed),
            "--model.policy=models.PretrainedPolicy", f"--model.policy.path={start}",
            "--model.learning.trainable=[adapter,language_model]", "--model.learning.optimizer.learning_rate=2e-3",
            "--data.source=datamodules.PromptFolder", f"--data.source.path={lessons}", "--data.source.test=null",
            f"--trainer.max_steps={steps}", f"--trainer.val_check_interval={steps}",
            f"--callbacks.export.folder={folder}", f"--trainer.logger.save_dir={folder.parent}",
        ])  # fmt: skip
    return folder
