"""Layouts of data sets for reinforcement learning."""

import json
from pathlib import Path

import pyarrow as pa

from tests.datamodules.public_layouts.pieces import IMAGE, embedded, json_lines, parquet, save


def write_geometry3k(
    folder: Path, num_train: int = 4, num_val: int = 2, answers: tuple[str, ...] = ("3", "4", "5", "6", "7", "8", "9")
) -> None:
    """hiyouga/geometry3k as its parquet files lie: questions about invented triangles."""
    for split, first, number in (("train", 0, num_train), ("validation", 100, num_val), ("test", 200, 2)):
        rows = [
            {
                "images": [embedded(seed % 250)],
                "problem": f"<image>In triangle {seed}, find x.",
                "answer": answers[seed % len(answers)],
                "id": seed,
                "choices": [str(seed % 7 + 3 + offset) for offset in (1, 0, 2, 3)],
                "ground_truth": "B",
            }
            for seed in range(first, first + number)
        ]
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows, images=pa.list_(IMAGE))


def write_mmk12(folder: Path) -> None:
    """FanqingM/MMK12."""
    for split, first in (("train", 0), ("test", 10)):
        rows = [
            {
                "id": f"mmk12-{first + i}",
                "question": f"<image>\nAs shown, angle {first + i} is ( )\nA. $30^{{\\circ}}$\nB. $60^{{\\circ}}$",
                "answer": ("A", "$2\\sqrt{3}$")[i],
                "subject": ("math", "physics")[i],
                "image": embedded(first + i),
            }
            for i in range(2)
        ]
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows, image=IMAGE)


def write_mm_eureka(folder: Path) -> None:
    """MM-Eureka's JSON lines: a chat as JSON text, with a URL of a file inside."""
    rows = []
    for i in range(3):
        save(20 + i, folder / "images" / f"{i}.png")
        content = [
            {"type": "image", "image": f"file:///path/to/images/{i}.png"},
            {"type": "text", "text": f"Question {i}: what is $x_{{{i}}}$?"},
        ]
        turns = [{"role": "system", "content": "Think first."}, {"role": "user", "content": content}]
        rows.append({"id": str(i), "message": json.dumps(turns), "answer": f"${i} + 1$"})
    json_lines(folder / "dataset.jsonl", rows)


def write_virl39k(folder: Path) -> None:
    """TIGER-Lab/ViRL39K: paths of images unpacked beside the file."""
    rows = []
    for i in range(3):
        names = [f"images/Processed-{i}-{j}.jpg" for j in range(1 + (i == 1))]
        for j, name in enumerate(names):
            save(30 + 2 * i + j, folder / name)
        rows.append(
            {
                "question": "<image>" * len(names) + f"\nWhat is {i}?",
                "answer": f"\\boxed{{{i}}}",
                "PassRate_32BTrained": 0.5,
                "PassRate_7BBase": 0.25,
                "category": "(GradeSchool) Geometric",
                "source": "Processed",
                "qid": f"Processed-{i}",
                "image": names,
            }
        )
    parquet(folder / "39Krelease.parquet", rows)


def write_verl(folder: Path) -> None:
    """The parquet files that verl's preprocessing writes."""
    for split, first in (("train", 40), ("test", 50)):
        rows = [
            {
                "data_source": "hiyouga/geometry3k",
                "prompt": [
                    {"role": "system", "content": "You first think."},
                    {"role": "user", "content": f"<image>Find y{first + i}. Answer within \\boxed{{}}."},
                ],
                "images": [embedded(first + i)],
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": str(first + i)},
                "extra_info": {"split": split, "index": i, "answer": str(first + i), "question": "Find y."},
            }
            for i in range(2)
        ]
        parquet(folder / f"{split}.parquet", rows, images=pa.list_(IMAGE))
