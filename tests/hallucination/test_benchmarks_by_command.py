"""What ``validate`` and ``test`` log for each benchmark, against values computed by hand from written completions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from algorithms import ConfigError
from cli.app import run
from models import RewardModel
from tests.conftest import long
from tests.datamodules.public_layouts.pieces import IMAGE, embedded, json_array, parquet, save
from tests.test_training import policy_folder

__all__ = ["policy_folder"]

CONFIGS = Path("configs").absolute()


def command(name: str, policy: Path, preset: str, data: Path, said: Mapping[str, str], *extra: str) -> list[str]:
    """The arguments of a command on a preset, with written completions by the keys of the prompts."""
    engine = {"class_path": "tests.hallucination.scripted.Scripted", "init_args": {"said": said}}
    # A preset of several folders names them itself, from the folder that the command runs in.
    place = [] if preset == "amber_both" else [f"--data.init_args.source.init_args.path={data}"]
    return [
        name, f"--config={CONFIGS}/tiny/grpo.yaml", f"--config={CONFIGS}/datasets/{preset}.yaml",
        *place, f"--model.init_args.policy.path={policy}",
        f"--model.init_args.engine={json.dumps(engine)}", "--data.init_args.reading.max_prompt_tokens=null",
        "--model.init_args.evaluation.num_samples=2", "--model.init_args.evaluation.pass_at=[2]",
        f"--trainer.default_root_dir={policy.parent}", f"--trainer.logger.save_dir={policy.parent}",
        "--trainer.enable_progress_bar=false", "--callbacks.progress=null", *extra,
    ]  # fmt: skip


def logged(arguments: list[str], begins: str) -> dict[str, float]:
    """The metrics of a command whose names begin in a way, without that beginning."""
    metrics = run(arguments).trainer.callback_metrics
    return {name.removeprefix(begins): round(float(v), 6) for name, v in metrics.items() if name.startswith(begins)}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


# --- POPE ---------------------------------------------------------------------------------------------------------

# Split, truth, completion.
POPE = [
    ("random", "yes", "Yes, there is a dog."),
    ("random", "no", "There is no cup. Yes."),
    ("random", "no", "I think so"),
    ("popular", "yes", "<think> no dog? </think> Yes."),
    ("popular", "yes", "No"),
    ("adversarial", "no", "yes"),
]


def pope(folder: Path) -> dict[str, str]:
    rows = [
        {
            "id": str(n), "question_id": str(n), "question": f"Is there a thing {n} in the image?", "answer": truth,
            "image_source": f"COCO_val2014_{n:012d}", "image": embedded(n), "category": split,
        }
        for n, (split, truth, _) in enumerate(POPE)
    ]  # fmt: skip
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows, image=IMAGE)
    return {str(n): text for n, (_, _, text) in enumerate(POPE)}


def pope_by_hand() -> dict[str, float]:
    # Said: yes no yes yes no yes; true: yes no no yes yes no. True yes 2 (0, 3), false yes 2 (2, 5), true no 1 (1),
    # false no 1 (4). The third says neither yes nor no, which counts as yes.
    overall = {"accuracy": 3 / 6, "precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "yes_ratio": 4 / 6}
    splits = {
        "random": {"accuracy": 2 / 3, "precision": 1 / 2, "recall": 1.0, "f1": 2 / 3, "yes_ratio": 2 / 3},
        "popular": {"accuracy": 1 / 2, "precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "yes_ratio": 1 / 2},
        "adversarial": {"accuracy": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0, "yes_ratio": 1.0},
    }
    by_split = {f"{name}_{split}": value for split, values in splits.items() for name, value in values.items()}
    return rounded(overall | by_split | {"silent_fraction": 1 / 6})


def test_pope_by_validate_and_by_the_monitor_whose_probes_are_its_questions(
    policy_folder: Path, tmp_path: Path
) -> None:
    said = pope(tmp_path / "POPE")
    monitor = ("--callbacks.hallucination=HallucinationMonitor", "--callbacks.hallucination.probes.num_samples=1")
    values = logged(command("validate", policy_folder, "pope", tmp_path / "POPE", said, *monitor), "")
    for where in ("val/pope_", "hallucination/pope_"):
        assert {name.removeprefix(where): v for name, v in values.items() if name.startswith(where)} == pope_by_hand()
    # The rate is 1 - precision.
    assert values["hallucination/rate"] == 0.5


@pytest.mark.long
def test_pope_by_test(policy_folder: Path, tmp_path: Path) -> None:
    said = pope(tmp_path / "POPE")
    assert logged(command("test", policy_folder, "pope", tmp_path / "POPE", said), "test/pope_") == pope_by_hand()


# --- HallusionBench -----------------------------------------------------------------------------------------------

# Category, figure, question, truth, completion; figure 0 of VS is no figure.
HALLUSION = [
    ("VD", "0", "0", "1", "Yes."),
    ("VD", "0", "1", "0", "No."),
    ("VD", "1", "0", "0", "Yes."),
    ("VD", "1", "1", "0", "No."),
    ("VS", "0", "0", "1", "I cannot tell."),
    ("VS", "1", "0", "1", "I cannot tell."),
]


def hallusion(folder: Path) -> dict[str, str]:
    save(7, folder / "hallusion_bench" / "one.png")
    rows = [
        {
            "category": category, "subcategory": "chart", "visual_input": "1", "set_id": "0", "figure_id": figure,
            "sample_note": "x", "question_id": question, "question": f"Is {category} {figure} {question}?",
            "gt_answer_details": "x", "gt_answer": truth,
            "filename": None if category == "VS" and figure == "0" else "./hallusion_bench/one.png",
        }
        for category, figure, question, truth, _ in HALLUSION
    ]  # fmt: skip
    json_array(folder / "HallusionBench.json", rows)
    return {f"HallusionBench-{n}": text for n, (*_, text) in enumerate(HALLUSION)}


@pytest.mark.parametrize("name", [long("validate"), "test"])
def test_hallusion_bench(policy_folder: Path, tmp_path: Path, name: str) -> None:
    said = hallusion(tmp_path / "HallusionBench")
    arguments = command(name, policy_folder, "hallusion_bench", tmp_path / "HallusionBench", said)
    # Right: VD 0/0, 0/1, 1/1, and VS 0/0, where uncertain is right; wrong: VD 1/0 and VS 1/0, which has a figure.
    # Figures: VD 0 right, VD 1 and VS 1 wrong; VS 0 is none. Groups: question 1 of VD right, 0 of VD and of VS not.
    split = {"validate": "val", "test": "test"}[name]
    by_hand = {"question_accuracy": 4 / 6, "figure_accuracy": 1 / 3, "group_accuracy": 1 / 3}
    by_hand["mean_accuracy"] = sum(by_hand.values()) / 3
    assert logged(arguments, f"{split}/hallusion_") == rounded(by_hand)


# --- AMBER --------------------------------------------------------------------------------------------------------

AMBER_SAID = {
    # beach, water (covers the sea), dog (nothing there), sky (safe): one of four is wrong.
    "1": "A beach with water, a dog and the sky.",
    # parasol names the imagined umbrella.
    "2": "A parasol.",
    "1005": "Yes.",
    "1006": "No, there is none.",
    "1007": "Yes",
    "1008": "No",
}


def amber(folder: Path) -> None:
    queries = {
        number: {"id": number, "image": f"AMBER_{number}.jpg", "query": f"Query {number}?"}
        for number in (1, 2, 1005, 1006, 1007, 1008)
    }
    for number in queries:
        save(number % 250, folder / "image" / f"AMBER_{number}.jpg")
    json_array(folder / "data" / "query" / "query_generative.json", [queries[1], queries[2]])
    json_array(folder / "data" / "query" / "query_discriminative.json", [queries[n] for n in queries if n > 1004])
    annotations = [
        {"id": 1, "type": "generative", "truth": ["beach", "sea"], "hallu": ["umbrella"]},
        {"id": 2, "type": "generative", "truth": ["beach"], "hallu": ["umbrella"]},
        {"id": 1005, "type": "discriminative-attribute-state", "truth": "yes"},
        {"id": 1006, "type": "discriminative-hallucination", "truth": "no"},
        {"id": 1007, "type": "discriminative-hallucination", "truth": "no"},
        {"id": 1008, "type": "discriminative-relation", "truth": "yes"},
    ]
    json_array(folder / "data" / "annotations.json", annotations)
    json_array(folder / "data" / "relation.json", {"beach": [], "sea": ["water"], "umbrella": ["parasol"], "dog": []})
    (folder / "data" / "safe_words.txt").write_text("sky\n")


# Mentions: beach, water, dog; parasol. The sky is in no table, so it is none. The dog and the parasol are wrong.
AMBER_DESCRIBED = {
    "chair": 2 / 4, "cover": 2 / 3, "hal": 2 / 2, "cog": 1 / 2, "cog_of_mentions": 1 / 4,
}  # fmt: skip
# No is the positive class. Said: yes no yes no; true: yes no no yes. True no 1 (1006), false no 1 (1008), false yes 1.
AMBER_ANSWERED = {
    "accuracy": 2 / 4, "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "no_ratio": 2 / 4,
    "accuracy_attribute": 1.0, "precision_attribute": 0.0, "recall_attribute": 0.0, "f1_attribute": 0.0,
    "no_ratio_attribute": 0.0,
    "accuracy_existence": 1 / 2, "precision_existence": 1.0, "recall_existence": 1 / 2, "f1_existence": 2 / 3,
    "no_ratio_existence": 1 / 2,
    "accuracy_relation": 0.0, "precision_relation": 0.0, "recall_relation": 0.0, "f1_relation": 0.0,
    "no_ratio_relation": 1.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "by_hand"),
    [
        long("amber_generative", AMBER_DESCRIBED),
        long("amber", AMBER_ANSWERED),
        ("amber_both", AMBER_DESCRIBED | AMBER_ANSWERED | {"score": (1 - 2 / 4 + 1 / 2) / 2}),
    ],
)
def test_amber(
    policy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str, by_hand: dict[str, float]
) -> None:
    amber(tmp_path / "data" / "AMBER")
    monkeypatch.chdir(tmp_path)
    arguments = command("test", policy_folder, preset, tmp_path / "data" / "AMBER", AMBER_SAID)
    assert logged(arguments, "test/amber_") == rounded(by_hand)


# --- CHAIR --------------------------------------------------------------------------------------------------------


def coco(folder: Path) -> None:
    pictures = {n: f"COCO_val2014_{n:012d}.jpg" for n in (1, 2, 3)}
    for n, name in pictures.items():
        save(n, folder / "val2014" / name)
    images = [{"id": n, "file_name": name} for n, name in pictures.items()]
    classes = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 44, "name": "bottle"}]
    instances = [(1, 1), (1, 18), (2, 44)]
    annotations = [{"id": n, "image_id": i, "category_id": c} for n, (i, c) in enumerate(instances)]
    content = {"images": images, "categories": classes, "annotations": annotations}
    json_array(folder / "annotations" / "instances_val2014.json", content)
    captions = [{"id": 1, "image_id": 1, "caption": "A woman and her puppy on a couch."}]
    json_array(folder / "annotations" / "captions_val2014.json", {"images": images, "annotations": captions})


def test_chair(policy_folder: Path, tmp_path: Path) -> None:
    coco(tmp_path / "coco")
    # Shown: 1 person, dog and, by the caption, couch; 2 a bottle; 3 nothing that is known.
    # Mentions: man, dog, frisbee (wrong); two bottles; cat (wrong). CHAIR_i 2 of 6, CHAIR_s 2 of 3.
    # Covered: person and dog of three, the bottle of one: 3 of 4.
    said = {"1": "A man throws his dog a frisbee.", "2": "A bottle beside a bottle.", "3": "A cat."}
    arguments = command("validate", policy_folder, "coco_objects", tmp_path / "coco", said)
    values = logged(arguments, "val/")
    by_hand = rounded({"chair_i": 2 / 6, "chair_s": 2 / 3, "chair_coverage": 3 / 4, "chair_mentions": 2.0})
    assert {name: value for name, value in values.items() if name.startswith("chair_")} == by_hand
    # The judge of the preset sees the same claims in the sampled completions.
    assert values["hallucination_rate"] == by_hand["chair_i"]


# --- data of another form -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_rows_of_another_form_are_left_out_and_counted(policy_folder: Path, tmp_path: Path) -> None:
    said = pope(tmp_path / "POPE")
    extra = {
        "id": "x", "question_id": "x", "question": "What is it?", "answer": "a cup", "image_source": "x",
        "image": embedded(9), "category": "popular",
    }  # fmt: skip
    parquet(tmp_path / "POPE" / "data" / "test-00001-of-00001.parquet", [extra, extra | {"id": "y"}], image=IMAGE)
    (tmp_path / "POPE" / "data" / "test-00000-of-00001.parquet").rename(tmp_path / "POPE" / "data" / "test-a.parquet")
    (tmp_path / "POPE" / "data" / "test-00001-of-00001.parquet").rename(tmp_path / "POPE" / "data" / "test-b.parquet")
    values = logged(command("validate", policy_folder, "pope", tmp_path / "POPE", said), "val/")
    assert values["outside_benchmark"] == round(2 / 8, 6)
    assert values["pope_accuracy"] == pope_by_hand()["accuracy"]


def test_a_benchmark_without_a_question_of_its_own_stops_the_run_before_it_starts(
    policy_folder: Path, tmp_path: Path
) -> None:
    said = pope(tmp_path / "POPE")
    other = "--model.init_args.evaluation.benchmark=hallucination.HallusionBench"
    with pytest.raises(
        ConfigError,
        match=r"model\.evaluation\.benchmark is HallusionBench, and no row of data\.source\.val is a question of it",
    ):
        run(command("validate", policy_folder, "pope", tmp_path / "POPE", said, other))


# --- VL-RewardBench -----------------------------------------------------------------------------------------------


def rewardbench(folder: Path) -> None:
    # Id, better and worse completion; the model of the test prefers the longer one.
    rows = [
        ("wildvision-1", "a b c", "a"),
        ("RLAIF-V-7", "a b", "a"),
        ("rlhf_3", "a", "a b c d"),
        ("mathverse_12", "a", "a b"),
        ("mmmu-4", "a b", "a"),
        ("mathverse_13", "a b", "a"),
    ]
    parquet(
        folder / "data" / "test-00000-of-00001.parquet",
        [
            {
                "id": key, "query": f"Which {key}?", "response": [worse, better], "image": embedded(n),
                "human_ranking": [1, 0], "models": ["x", "y"], "judge": "z", "rationale": "", "query_source": "z",
            }
            for n, (key, better, worse) in enumerate(rows)
        ],
        image=IMAGE,
    )  # fmt: skip


@pytest.mark.parametrize("name", [long("validate"), "test"])
def test_vl_rewardbench(policy_folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rewardbench(tmp_path / "VL-RewardBench")
    monkeypatch.setattr(
        RewardModel, "scores", lambda self, prompts, texts: torch.tensor([float(len(t.split())) for t in texts])
    )
    pretrained = json.dumps({"class_path": "models.PretrainedPolicy", "init_args": {"path": str(policy_folder)}})
    arguments = [
        name, "--config=configs/tiny/stages/reward_model.yaml", "--config=configs/datasets/vl_rewardbench.yaml",
        f"--data.init_args.pairs.init_args.path={tmp_path / 'VL-RewardBench'}",
        f"--model.init_args.reward_model.init_args.policy={pretrained}", "--callbacks.export=null",
        f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]  # fmt: skip
    split = {"validate": "val", "test": "test"}[name]
    values: dict[str, Any] = logged(arguments, f"{split}/pair_accuracy")
    # Right: wildvision-1; RLAIF-V-7 but not rlhf_3; mmmu-4 and mathverse_13 but not mathverse_12.
    by_hand = {"": 4 / 6, "_general": 1.0, "_hallucination": 1 / 2, "_reasoning": 2 / 3}
    assert values == rounded(by_hand | {"_macro": (1 + 1 / 2 + 2 / 3) / 3})
