"""``train.py new`` looks at data and model, and writes a config that runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithms import ConfigError
from cli.app import main, planned, run
from datamodules import ColumnMap, MixedSource, PromptFolder, PromptMixture
from tests.cli.new_run.own import (
    language_model,
    qwen_vl,
    write_model,
    write_pairs,
    write_photos,
    write_texts,
)
from tests.datamodules.public_layouts import write_geometry3k
from tests.datamodules.public_layouts.pieces import embedded, json_lines, parquet
from tests.recipes.small_data import mmpr


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "llava")
    write_model(folder / "qwen_vl", qwen_vl(), context=256)
    write_model(folder / "text", language_model())
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[dict[str, Any], str]:
    """Return the config that is written into ``own``, and what is said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["new", "own", *map(str, arguments)])
    told = capsys.readouterr()
    assert end.value.code == 0, told.err
    text = Path("own/config.yaml").read_text()
    assert len(text.splitlines()) <= 65
    assert "shapes" not in text.lower()
    return yaml.safe_load(text), told.out


def columns_of(config: dict[str, Any]) -> dict[str, Any]:
    return config["data"]["init_args"]["source"]["init_args"]["columns"]


def doubts(told: str) -> list[str]:
    return re.findall(r"^doubtful:  (.*)$", told, re.MULTILINE)


def test_photos_with_answers_become_a_config(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(here / "photos")
    config, told = new(capsys, "--data", "photos", "--model", policies / "qwen_vl")
    assert columns_of(config) == {
        "images": "picture", "image_folder": "pictures", "question": "problem", "answer": "solution", "id": None
    }  # fmt: skip
    assert "4 of 4 rows looked at, 4 usable" in told
    assert "answers:   4 numbers" in told
    assert "left to rewards: by" in told
    assert "qwen2_5_vl (reads images), context 256 tokens" in told
    reading, sampling = config["data"]["init_args"]["reading"], config["model"]["init_args"]["sampling"]
    assert "\\boxed{}" in reading["template"]["hint"]
    assert reading["max_prompt_tokens"] + sampling["max_new_tokens"] <= 256


def test_texts_become_a_config_of_a_language_model_without_validation(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(here / "texts.jsonl")
    config, told = new(capsys, "--data", "texts.jsonl", "--model", policies / "text")
    assert config["model"]["init_args"]["learning"]["trainable"] == ["language_model"]
    assert config["data"]["init_args"]["source"]["init_args"]["val"] is None
    assert any("no images were found, so this is training on text only" in doubt for doubt in doubts(told))
    assert any("no validation rows" in doubt for doubt in doubts(told))
    with pytest.raises(ConfigError, match=r"data\.source\.val is null"):
        run(["validate", "--config=own/config.yaml", "--trainer.logger=false"])


def test_pairs_become_mpo_without_engine_and_reward(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(here / "pairs")
    config, told = new(capsys, "--data", "pairs", "--model", policies / "llava")
    assert config["model"]["class_path"] == "lightning_modules.MPOModule"
    assert {"engine", "reward"} & config["model"]["init_args"].keys() == set()
    assert "inspect" not in told


def test_a_config_that_is_there_stays_without_force(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(here / "texts.jsonl")
    arguments = ["--data", "texts.jsonl", "--model", str(policies / "llava")]
    (here / "own").mkdir()
    (here / "own" / "config.yaml").write_text("mine")
    assert (
        refusal(capsys, *arguments) == "own/config.yaml is already there: give another DIR, or --force to replace it."
    )
    assert (here / "own" / "config.yaml").read_text() == "mine"
    new(capsys, *arguments, "--force")


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, folder: str = "own") -> str:
    """Return the one sentence with which the command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["new", folder, *arguments])
    told = capsys.readouterr()
    assert end.value.code == 2
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line.removeprefix("error: ")


WRONG = {
    "no data": (("--model", "MODEL"), "--data"),
    "data that are not there": (("--data", "nowhere", "--model", "MODEL"), "where there is nothing"),
    "an empty name": (("--data", "", "--model", "MODEL"), "--data must be a file or a folder"),
    "an empty folder": (("--data", "empty", "--model", "MODEL"), "has no file of rows"),
    "an empty file": (("--data", "empty.jsonl", "--model", "MODEL"), "is empty"),
    "a file of another form": (("--data", "rows.csv", "--model", "MODEL"), "rows.csv is not read"),
    "a folder of another form": (("--data", "table", "--model", "MODEL"), "train.csv is not read, since rows are read"),
    "several files": (("--data", "several", "--model", "MODEL"), "several files"),
    "no JSON": (("--data", "broken.jsonl", "--model", "MODEL"), "holds no rows that can be read"),
    "a damaged table": (("--data", "broken.parquet", "--model", "MODEL"), "broken.parquet"),
    "no question": (("--data", "numbers.jsonl", "--model", "MODEL"), "columns found: a, b"),
    "pictures that are gone": (("--data", "gone.jsonl", "--model", "MODEL"), "missing image"),
    "no model": (("--data", "texts.jsonl", "--model", "nowhere/model/x"), "--model is 'nowhere/model/x'"),
    "a model that cannot be fetched": (("--data", "texts.jsonl", "--model", "nobody/no-model"), "--model"),
    "a model that is a file": (("--data", "texts.jsonl", "--model", "texts.jsonl"), "which is a file"),
    "a model without weights": (("--data", "texts.jsonl", "--model", "no_weights"), "safetensors"),
    "another phase": (("--data", "texts.jsonl", "--model", "MODEL", "--phase", "sft"), "--phase"),
    "pairs for GRPO": (("--data", "pairs", "--model", "MODEL", "--phase", "grpo"), "only mpo learns from"),
    "prompts for MPO": (("--data", "texts.jsonl", "--model", "MODEL", "--phase", "mpo"), "texts.jsonl holds no pairs"),
    "pairs beside validation prompts": (
        ("--data", "mixed/pairs.jsonl", "--model", "MODEL"),
        "mixed/val.jsonl holds no pairs",
    ),
    "validation that is not there": (("--data", "texts.jsonl", "--model", "MODEL", "--val", "x"), "--val"),
    "validation on the training rows": (
        ("--data", "texts.jsonl", "--model", "MODEL", "--val", "texts.jsonl"),
        "holds the training rows",
    ),
    "an unknown option": (("--data", "texts.jsonl", "--model", "MODEL", "--dat", "x"), "--dat"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_input_ends_in_one_sentence(
    arguments: tuple[str, ...], words: str, here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(here / "texts.jsonl")
    write_pairs(here / "pairs")
    json_lines(here / "numbers.jsonl", [{"a": 1, "b": 2}])
    json_lines(here / "gone.jsonl", [{"question": "?", "image": "gone.png", "answer": 1}])
    (here / "mixed").mkdir()
    write_texts(here / "mixed" / "val.jsonl")
    json_lines(here / "mixed" / "pairs.jsonl", [{"question": "?", "chosen": "1", "rejected": "2"}] * 4)
    (here / "empty").mkdir()
    (here / "several").mkdir()
    for name in ("empty.jsonl", "several/a.jsonl", "several/b.jsonl"):
        (here / name).write_text("")
    (here / "table").mkdir()
    for name in ("rows.csv", "table/train.csv"):
        (here / name).write_text("question,answer\n")
    (here / "broken.jsonl").write_text("no json\n")
    (here / "broken.parquet").write_bytes(b"PAR1 and so on")
    (here / "no_weights").mkdir()
    for file in (policies / "llava").iterdir():
        if file.suffix != ".safetensors":
            (here / "no_weights" / file.name).write_bytes(file.read_bytes())
    given = [str(policies / "llava") if word == "MODEL" else word for word in arguments]
    assert words in refusal(capsys, *given)
    assert not (here / "own").exists()


def test_a_folder_that_is_a_file_is_refused(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_texts(here / "texts.jsonl")
    given = ("--data", "texts.jsonl", "--model", str(policies / "llava"))
    assert "which is a file" in refusal(capsys, *given, folder="texts.jsonl")


ROWS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no answers": ([{"question": "how many ?"}], {"answer": None}, "no row has an answer"),
    "some answers": (
        [{"question": "how ?", "answer": "1"}, {"question": "what ?", "answer": None}],
        {"answer": "answer"},
        "1 of 2 rows have no answer",
    ),
    "an answer that nothing equals": (
        [{"question": "how ?", "answer": "\\frac{1}{"}, {"question": "what ?", "answer": "2"}],
        {"answer": "answer"},
        "1 of 2 answers cannot be compared with any completion",
    ),
    "answers with their reasoning": (
        [{"question": "how ?", "answer": "I count. 1 + 1 = 2 #### 2"}], {"answer": "answer"}, "texts with reasoning"
    ),
    "words that nobody knows": (
        [{"question": "Wie viele Kreise sind links oben zu sehen", "answer": "1"}],
        {"question": "question"},
        "does not know 100% of the words",
    ),
    "a question of another name": (
        [{"was_gefragt_wird": "how many red ?", "answer": 1}], {"question": "was_gefragt_wird"}, "is taken for it"
    ),
    "a row that cannot be used": (
        [{"question": "how ?", "answer": 1, "image": None}, {"question": "how ?", "answer": 1, "image": "gone.png"}],
        {"images": "image"},
        "1 of 2 rows cannot be used: 1 missing image",
    ),
    "letters in columns": (
        [{"question": "which ?", "A": "red", "B": "blue", "answer": "B"}], {"choices": ["A", "B"]}, "few to learn from"
    ),
    "places in a list": (
        [{"question": "which ?", "options": ["x", "y"], "answer": n} for n in (0, 1)],
        {"choices": "options", "answer_form": "index_0"},
        "few to learn from",
    ),
    "a conversation": (
        [{"messages": [{"role": "user", "content": "how many red ?"}], "label": "1"}],
        {"question": "messages", "answer": "label"},
        "few to learn from",
    ),
    "verl": (
        [{"prompt": [{"role": "user", "content": "how many ?"}], "reward_model": {"ground_truth": "1"},
          "extra_info": {"index": 0}, "images": None}],
        {"question": "prompt", "answer": "reward_model.ground_truth"},
        "few to learn from",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "columns", "doubt"), ROWS.values(), ids=ROWS)
def test_columns_are_found_and_doubts_are_said(
    rows: list[dict[str, Any]], columns: dict[str, Any], doubt: str,
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    json_lines(here / "train.jsonl", rows)
    config, told = new(capsys, "--data", "train.jsonl", "--model", policies / "llava")
    assert columns.items() <= columns_of(config).items()
    assert [said for said in doubts(told) if doubt in said]
    parts = config["model"]["init_args"]["reward"]["init_args"]["parts"]
    assert (parts["accuracy"]["weight"] > 0) == (columns_of(config)["answer"] is not None)


def test_a_public_layout_names_its_preset(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_geometry3k(here / "geometry3k", 4, 2, answers=("0", "1"))
    config, told = new(capsys, "--data", "geometry3k", "--model", policies / "qwen_vl")
    assert "layout:    that of configs/datasets/geometry3k.yaml" in told
    assert columns_of(config)["unused"] == ["choices"]
    assert config["data"]["init_args"]["source"]["init_args"]["train"] == "data/train-*.parquet"
    assert config["data"]["init_args"]["source"]["init_args"]["val"] == "data/validation-*.parquet"


def test_bytes_in_a_table_are_images_and_their_file_names_are_not(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"query": "how many red ?", "photo": embedded(i), "photo_file": f"{i}.png", "gold": str(i)} for i in range(2)
    ]
    parquet(here / "train.parquet", rows)
    config, told = new(capsys, "--data", "train.parquet", "--model", policies / "qwen_vl")
    assert columns_of(config)["images"] == "photo"
    assert columns_of(config)["unused"] == ["photo_file"]
    assert not [said for said in doubts(told) if "image" in said]


def test_validation_rows_of_another_folder_bring_their_own_pictures(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(here / "photos")
    write_photos(here / "others", 2)
    config, _ = new(capsys, "--data", "photos", "--val", "others/train.jsonl", "--model", policies / "qwen_vl")
    source = config["data"]["init_args"]["source"]
    assert source["class_path"] == "datamodules.PromptMixture"
    parts: dict[str, MixedSource] = {}
    for name, part in source["init_args"]["sources"].items():
        given = part["source"]["init_args"]
        parts[name] = MixedSource(PromptFolder(**{**given, "columns": ColumnMap(**given["columns"])}))
    mixture = PromptMixture(parts)
    planned(["fit", "--config=own/config.yaml"])
    rows = [mixture.read(split, max_image_pixels=10**6) for split in ("train", "val")]
    assert [len(of_split.prompts) for of_split in rows] == [4, 2]


def test_validation_rows_that_tell_nothing_are_said(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(here / "texts.jsonl")
    json_lines(here / "val.jsonl", [{"prompt": "how many ?"}, {"prompt": "how ?", "image": "gone.png"}])
    _, told = new(capsys, "--data", "texts.jsonl", "--model", policies / "text")
    assert "1 of 2 validation rows cannot be used: 1 missing image" in doubts(told)
    assert "1 of 1 validation rows have no answer; their accuracy is unknown" in doubts(told)


def test_what_a_language_model_cannot_see_is_said(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(here / "photos")
    capsys.readouterr()
    said = refusal(capsys, "--data", "photos", "--model", str(policies / "text"))
    assert "can read none of the rows" in said


def test_facts_become_claims_that_are_judged(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": "how many red ?", "answer": 1, "facts": ["cat (black)", "dog"]}]
    json_lines(here / "train.jsonl", rows)
    config, _ = new(capsys, "--data", "train.jsonl", "--model", policies / "llava")
    mention = config["model"]["init_args"]["judge"]["init_args"]["mention"]
    assert re.findall(mention, "a dog, a cat (black) and a dogma") == ["dog", "cat (black)"]
    planned(["fit", "--config=own/config.yaml"])


def test_where_the_questions_ask_for_a_box_no_template_asks_again(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_lines(here / "train.jsonl", [{"question": "how many ? Answer in \\boxed{}.", "answer": "1"}])
    config, _ = new(capsys, "--data", "train.jsonl", "--model", policies / "llava")
    assert "template" not in config["data"]["init_args"]["reading"]


def test_pictures_with_absolute_paths_are_found(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(here / "photos")
    paths = [here / "photos" / "pictures" / f"{i}.png" for i in range(2)]
    json_lines(here / "train.jsonl", [{"question": "how many red ?", "image": str(p), "answer": 1} for p in paths])
    _, told = new(capsys, "--data", "train.jsonl", "--model", policies / "llava")
    assert "2 of 2 rows looked at, 2 usable" in told


def test_rows_below_a_key_of_a_json_file_are_found(
    here: Path, policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "train.json").write_text(json.dumps({"version": 1, "data": [{"question": "how many red ?", "answer": 1}]}))
    config, told = new(capsys, "--data", "train.json", "--model", policies / "llava")
    assert columns_of(config)["records"] == "data"
    assert "1 of 1 rows looked at, 1 usable" in told


@pytest.mark.parametrize("data", ["photos", "pairs"])
def test_a_large_model_gets_lora_and_16_bits_for_what_is_frozen(
    data: str, here: Path, policies: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.new_run.model._LARGE_BYTES", 0)
    write_photos(here / "photos")
    write_pairs(here / "pairs")
    config, _ = new(capsys, "--data", data, "--model", policies / "qwen_vl")
    learning = config["model"]["init_args"]["learning"]
    assert "trainable" not in learning
    assert learning["lora"]["parts"] == ["language_model"]
    assert config["model"]["init_args"]["policy"]["init_args"]["dtype"] == "bfloat16"
    assert config["trainer"]["precision"] == "bf16-mixed"
    planned(["fit", "--config=own/config.yaml"])


def test_mmpr_is_read_as_it_lies(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meta = mmpr(here / "MMPR")
    config, told = new(capsys, "--data", meta.parent, "--model", policies / "qwen_vl")
    assert config["data"]["init_args"]["pairs"]["class_path"] == "datamodules.MMPRFolder"
    assert "24 of 24 rows looked at" in told
    planned(["fit", "--config=own/config.yaml"])


def test_many_rows_in_a_json_list_are_counted(here: Path, policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": f"how many red ? {i}", "answer": i % 3} for i in range(1200)]
    (here / "train.json").write_text(json.dumps(rows))
    config, told = new(capsys, "--data", "train.json", "--model", policies / "llava")
    assert "1000 of 1200 rows looked at" in told
    assert config["data"]["init_args"]["prompts_per_rollout"] == 64
