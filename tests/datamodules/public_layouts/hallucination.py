"""Layouts of benchmarks of hallucination, and of captions."""

from pathlib import Path

from tests.datamodules.public_layouts.pieces import IMAGE, embedded, json_array, parquet, save


def write_pope(folder: Path) -> None:
    """lmms-lab/POPE."""
    rows = [
        {
            "id": str(n),
            "question_id": str(n),
            "question": f"Is there a {thing} in the image?",
            "answer": ("yes", "no")[n % 2],
            "image_source": f"COCO_val2014_{n:012d}",
            "image": embedded(110 + n),
            "category": "popular",
        }
        for n, thing in enumerate(("dog", "truck", "chair"))
    ]
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image=IMAGE)


def write_hallusion_bench(folder: Path) -> None:
    """HallusionBench.json: an array; a question of a supplement without its figure names no file."""
    save(120, folder / "hallusion_bench" / "VD" / "figure" / "0_1.png")
    rows = [
        {
            "category": category,
            "subcategory": "figure",
            "visual_input": visual,
            "set_id": "0",
            "figure_id": figure,
            "sample_note": "circle",
            "question_id": question,
            "question": f"Is circle {question} larger?",
            "gt_answer_details": "It is not.",
            "gt_answer": truth,
            "filename": file,
        }
        for category, visual, figure, question, truth, file in (
            ("VD", "1", "1", "0", "1", "./hallusion_bench/VD/figure/0_1.png"),
            ("VD", "1", "1", "1", "0", "./hallusion_bench/VD/figure/0_1.png"),
            ("VS", "0", "0", "0", "0", None),
        )
    ]
    json_array(folder / "HallusionBench.json", rows)


def write_amber(folder: Path) -> None:
    """AMBER: arrays of queries, and annotations in an array of their own."""
    for n in (1, 1005, 1006):
        save(n % 250, folder / "image" / f"AMBER_{n}.jpg")
    generative = [{"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."}]
    discriminative = [
        {"id": 1005, "image": "AMBER_1005.jpg", "query": "Is the sky sunny in this image?"},
        {"id": 1006, "image": "AMBER_1006.jpg", "query": "Is there a lake in this image?"},
    ]
    json_array(folder / "data" / "query" / "query_generative.json", generative)
    json_array(folder / "data" / "query" / "query_discriminative.json", discriminative)
    json_array(folder / "data" / "query" / "query_all.json", generative + discriminative)
    annotations = [
        {"id": 1, "type": "generative", "truth": ["beach", "sea"], "hallu": ["umbrella"]},
        {"id": 1005, "type": "discriminative-attribute-state", "truth": "yes"},
        {"id": 1006, "type": "discriminative-hallucination", "truth": "no"},
    ]
    json_array(folder / "data" / "annotations.json", annotations)
    words = {"beach": ["sand"], "sea": ["water", "wave"], "umbrella": ["parasol"], "dog": []}
    json_array(folder / "data" / "relation.json", words)
    (folder / "data" / "safe_words.txt").write_text("sky\nsun\n")


def write_coco_captions(folder: Path) -> None:
    """COCO's captions: one object with a list of images and a list of captions."""
    for split, first in (("train2014", 130), ("val2014", 140)):
        images, annotations = [], []
        for n in (first, first + 1):
            name = f"COCO_{split}_{n:012d}.jpg"
            save(n, folder / split / name)
            url = f"http://images.cocodataset.org/{split}/{name}"
            images.append({"license": 1, "file_name": name, "coco_url": url, "height": 28, "width": 28, "id": n})
            annotations += [{"image_id": n, "id": 10 * n + c, "caption": f"Caption {c} of {n}."} for c in range(2)]
        content = {"info": {"year": 2014}, "images": images, "licenses": [], "annotations": annotations}
        json_array(folder / "annotations" / f"captions_{split}.json", content)


def write_coco_objects(folder: Path) -> None:
    """COCO's instances and captions of one set of pictures."""
    names = {n: f"COCO_val2014_{n:012d}.jpg" for n in (145, 146)}
    for n, name in names.items():
        save(n, folder / "val2014" / name)
    images = [{"id": n, "file_name": name, "height": 28, "width": 28} for n, name in names.items()]
    classes = [
        {"supercategory": "person", "id": 1, "name": "person"},
        {"supercategory": "animal", "id": 18, "name": "dog"},
    ]
    instances = [
        {"id": 1, "image_id": 145, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81.0, "iscrowd": 0},
        {"id": 2, "image_id": 145, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81.0, "iscrowd": 0},
        {"id": 3, "image_id": 145, "category_id": 18, "bbox": [0, 0, 9, 9], "area": 81.0, "iscrowd": 0},
    ]
    captions = [{"image_id": 145, "id": 1, "caption": "A man walks his dog past a bicycle."}]
    content = {"info": {"year": 2014}, "images": images, "licenses": []}
    json_array(
        folder / "annotations" / "instances_val2014.json", content | {"annotations": instances, "categories": classes}
    )
    json_array(folder / "annotations" / "captions_val2014.json", content | {"annotations": captions})
