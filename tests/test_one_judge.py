"""The judge of the model judges everywhere, whatever the form of the facts: evaluation, log, pages and predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.cards import GREEN, RED
from cli.app import run
from tests.test_training import policy_folder

__all__ = ["policy_folder"]

ENGINE = "--model.init_args.engine=tests.callbacks.loop.test_monitor_probes.SaysCaptions"
# COCO: objects as facts, judged by their names. POPE: a yes or no as the answer. Each with the right rate.
DATA = {
    "coco": ("ObjectJudge", [
        {"question": "Describe the image.", "facts": ["person", "dog", "dog"], "answer": "a dog"},
        {"question": "What do you see?", "facts": ["cat"], "answer": "a cat"},
    ], 1 / 4),
    "pope": ("YesNoJudge", [
        {"question": "Is there a dog in the image?", "answer": "yes"},
        {"question": "Is there a cup in the image?", "answer": "no"},
    ], 1 / 2),
}  # fmt: skip


def arguments(command: str, policy: Path, name: str, *extra: str) -> list[str]:
    root, (judge, rows, _) = policy.parent, DATA[name]
    folder = root / "data"
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({**row, "image": f"{number}.png"}) for number, row in enumerate(rows)]
    for split in ("train", "val", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    for number in range(len(rows)):
        Image.new("RGB", (48, 48), (90 * number, 0, 0)).save(folder / f"{number}.png")
    source = json.dumps({"class_path": "datamodules.PromptFolder", "init_args": {"path": str(folder)}})
    return [
        command, "--config=configs/tiny/grpo.yaml", f"--model.init_args.policy.path={policy}", ENGINE,
        f"--model.init_args.judge=hallucination.{judge}", f"--data.init_args.source={source}",
        "--data.init_args.prompts_per_rollout=2", "--trainer.max_steps=1", "--trainer.val_check_interval=1",
        "--model.init_args.sampling={max_new_tokens: 8, group_size: 2}",
        "--model.init_args.evaluation={num_samples: 2, pass_at: [2]}",
        f"--trainer.default_root_dir={root}", f"--trainer.logger.save_dir={root}",
        "--trainer.enable_progress_bar=false", "--callbacks.progress=null", *extra,
    ]  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_validation_reports_the_rate(policy_folder: Path, name: str) -> None:
    metrics = run(arguments("validate", policy_folder, name)).trainer.callback_metrics
    assert float(metrics["val/hallucination_rate"]) == pytest.approx(DATA[name][2])


@pytest.mark.parametrize("name", DATA)
def test_a_rollout_reports_the_rate_and_the_cards_mark_the_claims(policy_folder: Path, name: str) -> None:
    cli = run(arguments("fit", policy_folder, name, "--trainer.limit_val_batches=0"))
    assert float(cli.trainer.callback_metrics["rollout/hallucination_rate"]) == pytest.approx(DATA[name][2])
    (events,) = policy_folder.parent.rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    colors: set[tuple[int, ...]] = set()
    for tag in accumulator.Tags()["images"]:
        for shown in accumulator.Images(tag):
            picture = policy_folder.parent / "card.png"
            picture.write_bytes(shown.encoded_image_string)
            pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
            colors |= set(map(tuple, np.unique(pixels, axis=0).tolist()))
    assert {RED, GREEN} <= colors


@pytest.mark.parametrize("name", DATA)
def test_predictions_hold_the_claims(policy_folder: Path, name: str) -> None:
    file = policy_folder.parent / "predictions.jsonl"
    run(arguments("predict", policy_folder, name, f"--callbacks.predictions.init_args.path={file}"))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    claims = [
        claim["is_supported"] for row in rows for completion in row["completions"] for claim in completion["claims"]
    ]
    assert claims.count(False) / len(claims) == pytest.approx(DATA[name][2])
