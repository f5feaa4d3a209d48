"""Layouts of preference pairs."""

from pathlib import Path

from tests.datamodules.public_layouts.pieces import IMAGE, embedded, json_array, json_lines, parquet, save


def write_mmpr(folder: Path) -> None:
    """MMPR: ``meta.json``, annotations as JSON lines, images as files; paths begin at the folder's own name."""
    name = "toy_pairs_vqa_correctness_rules"
    for n in range(2):
        save(150 + n, folder / "images" / "toy" / f"{n}.png")
    rows = [
        {
            "image": f"{n}.png",
            "question": f"<image>\nWhat is {n}?",
            "chosen": f"Answer: {n}",
            "rejected": "Answer: 9",
            "answer_gt": str(n),
        }
        for n in range(2)
    ]
    rows.append({"question": "What is 2?", "chosen": "2", "rejected": "3", "answer_gt": "2"})
    json_lines(folder / "annotations" / f"{name}.jsonl", rows)
    root = f"{folder.name}/images/toy"
    annotation = f"{folder.name}/annotations/{name}.jsonl"
    entry = {"root": root, "annotation": annotation, "data_augment": False, "repeat_time": 1, "length": len(rows)}
    json_array(folder / "meta.json", {name: entry})


def write_rlaif_v(folder: Path) -> None:
    """openbmb/RLAIF-V-Dataset: numbered parquet files."""
    for shard in range(2):
        rows = [
            {
                "ds_name": "RLAIF-V",
                "image": embedded(160 + 2 * shard + n),
                "question": f"What is in picture {shard}{n}?",
                "chosen": "A lake.",
                "rejected": "A lake and a dog.",
                "origin_dataset": "toy",
                "origin_split": '{"model": "toy"}',
                "idx": 2 * shard + n,
                "image_path": f"toy/{shard}{n}.jpg",
            }
            for n in range(2)
        ]
        parquet(folder / f"RLAIF-V-Dataset_{shard:03d}.parquet", rows, image=IMAGE)


def write_vl_rewardbench(folder: Path) -> None:
    """MMInstruction/VL-RewardBench: two responses and their ranks."""
    rows = [
        {
            "id": f"toy-{n}",
            "query": f"What is shown in {n}?",
            "response": ["A boat.", "A car."],
            "image": embedded(170 + n),
            "human_ranking": ranks,
            "models": ["one", "two"],
            "judge": "toy",
            "rationale": "It is a boat.",
            "query_source": "toy",
        }
        for n, ranks in enumerate(([0, 1], [1, 0]))
    ]
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image=IMAGE)
