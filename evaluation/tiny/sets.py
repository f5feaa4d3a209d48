"""Writes the three small benchmarks: in evalscope's layouts, in this project's layout, and rows for training.

ROOT/choices, math_vista, pope     layouts of the harness
ROOT/own/NAME/test.jsonl           the same questions, each as the user turn that evalscope sends
ROOT/teach/train.jsonl, val.jsonl  other scenes, with completions
"""

import base64
import json
import random
from collections.abc import Sequence
from pathlib import Path

from datamodules.shapes.scene import draw_scene
from evaluation.layouts import picture_cell, write_layout
from evaluation.tiny.questions import LETTERS, POPE_SPLITS, SETS, TinyQuestion, questions
from storage import whole_folder


def write_sets(root: Path, *, num_questions: int, num_taught: int, seed: int) -> None:
    """Write everything or nothing; an older folder stays.

    Args:
        root: the folder.
        num_questions: number of questions of each benchmark.
        num_taught: number of training rows of all benchmarks together.
        seed: seed of the world.
    """
    if root.is_dir():
        return
    with whole_folder(root) as draft:
        for name in SETS:
            asked = list(questions(name, "test", num_questions, seed))
            _WRITERS[name](draft / name, asked)
            _write_own(draft / "own" / name, "test", asked)
        for split, number in (("train", num_taught), ("val", 96)):
            each = [question for name in SETS for question in questions(name, split, number // len(SETS), seed)]
            # Training reads the rows in file order.
            random.Random(seed).shuffle(each)
            _write_own(draft / "teach", split, each)


def _write_own(folder: Path, split: str, asked: Sequence[TinyQuestion]) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as lines:
        for question in asked:
            name = f"images/{split}-{question.benchmark}-{question.number:05d}.png"
            draw_scene(question.scene).save(folder / name)
            row = {
                "id": f"{question.benchmark}-{question.number}", "image": name, "question": question.asked,
                "answer": question.answer, "completion": question.completion, "facts": list(question.scene.things),
            }  # fmt: skip
            lines.write(json.dumps(row) + "\n")


def _write_choices(folder: Path, asked: Sequence[TinyQuestion]) -> None:
    folder.mkdir(parents=True)
    with (folder / "default_val.jsonl").open("w", encoding="utf-8") as lines:
        for question in asked:
            encoded = base64.b64encode(picture_cell(draw_scene(question.scene))["bytes"]).decode()
            row = {"question": f"<image 1> {question.text}", "options": list(question.choices),
                   "image_1": f"data:image/png;base64,{encoded}", "answer": question.answer}  # fmt: skip
            lines.write(json.dumps(row) + "\n")


def _write_math_vista(folder: Path, asked: Sequence[TinyQuestion]) -> None:
    rows = [
        {
            "pid": str(question.number), "question": question.text, "image": f"images/{question.number}.jpg",
            "decoded_image": picture_cell(draw_scene(question.scene)), "choices": None, "unit": None, "precision": None,
            "answer": question.answer, "question_type": "free_form", "answer_type": "integer",
            "metadata": {"category": "math-targeted-vqa", "context": "synthetic scene", "skills": ["arithmetic"]},
            "query": question.text,
        }
        for question in asked
    ]  # fmt: skip
    write_layout(folder, {("default", "testmini"): ("data/testmini-00000-of-00001.parquet", rows)})


def _write_pope(folder: Path, asked: Sequence[TinyQuestion]) -> None:
    rows = {split: [] for split in POPE_SPLITS}
    for question in asked:
        row = {
            "id": str(question.number), "question_id": str(question.number), "question": question.text,
            "answer": question.answer.lower(), "image_source": f"scene-{question.number}",
            "image": picture_cell(draw_scene(question.scene)), "category": question.category,
        }  # fmt: skip
        rows[question.category].append(row)
    write_layout(
        folder, {("Full", split): (f"Full/{split}-00000-of-00001.parquet", rows[split]) for split in POPE_SPLITS}
    )


_WRITERS = {"choices": _write_choices, "math_vista": _write_math_vista, "pope": _write_pope}
assert set(_WRITERS) == set(SETS)
assert len(LETTERS) == 4
