"""``train.py inspect`` writes one page of what the trainer would see."""

import json
import re
from pathlib import Path

import pytest
import yaml

from cli.app import main
from tests.conftest import sharp_policy
from tests.datamodules.public_layouts.pieces import json_lines, save

QUESTIONS = ["how many red ?", "how many blue ?", "how many more red than blue ?"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of a small policy on disk, and data with one bad row, one odd answer and one overlap."""
    policy = sharp_policy()
    policy.model.save_pretrained(tmp_path / "policy")
    policy.processor.save_pretrained(tmp_path / "policy")
    for seed in range(4):
        save(seed, tmp_path / "data" / f"{seed}.png")
    rows = [
        {
            "id": f"row {i}",
            "question": f"<image> {question}",
            "image": f"{i}.png",
            "answer": str(i),
            "options": ["0", "1", "2"],
        }
        for i, question in enumerate(QUESTIONS)
    ]
    rows += [
        {"id": "bad", "question": "<image> x", "image": "none.png"},
        {"id": "odd", "question": "<b>how</b> many red ?", "answer": "\\frac{1}{", "options": None},
    ]
    json_lines(tmp_path / "data" / "train.jsonl", rows)
    json_lines(tmp_path / "data" / "val.jsonl", rows[:1])
    source = {
        "class_path": "datamodules.PromptFolder",
        "init_args": {"path": str(tmp_path / "data"), "test": None, "columns": {"choices": "options"}},
    }
    policy_source = {"class_path": "models.PretrainedPolicy", "init_args": {"path": str(tmp_path / "policy")}}
    part = {"reward": {"class_path": "rewards.AccuracyReward"}, "weight": 1.0}
    content = {
        "trainer": {"accelerator": "cpu", "logger": False, "enable_checkpointing": False},
        "model": {
            "class_path": "lightning_modules.GRPOModule",
            "init_args": {
                "policy": policy_source,
                "engine": {"class_path": "rollouts.TransformersEngine"},
                "reward": {"class_path": "rewards.WeightedReward", "init_args": {"parts": {"accuracy": part}}},
            },
        },
        "data": {
            "class_path": "datamodules.ExperienceDataModule",
            "init_args": {
                "source": source,
                "reading": {"max_prompt_tokens": 20, "template": {"hint": "how many ?"}},
            },
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "config.yaml"


def test_the_page_shows_prompts_lengths_answers_rejections_and_overlaps(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = config.parent / "page.html"
    main(["inspect", f"--config={config}", f"--page={page}"])
    html = page.read_text()
    # Image tokens are counted, and the choices and the hint are in the prompt.
    assert re.search(r"&lt;image&gt; x 9", html)
    assert "how many ?" in html
    assert re.search(r"prompts measured: \d+ to \d+ tokens.*max_prompt_tokens = 20", html, re.DOTALL)
    assert re.search(r"missing image.*bad: none\.png", html, re.DOTALL)
    assert "1 of them not equal to themselves" in html
    assert "1 of 1 prompts are training prompts too" in html
    assert html.count("data:image/png;base64,") == 4
    out = capsys.readouterr().out
    assert "train: 4 of 5 rows, 3 with images, 4 with an answer, 1 missing image" in out
    assert str(page) in out


def test_the_page_needs_no_other_file_and_shows_texts_of_the_data_as_text(config: Path) -> None:
    page = config.parent / "page.html"
    main(["inspect", f"--config={config}", f"--page={page}"])
    html = page.read_text()
    assert re.findall(r"(?:src|href)=\"(?!data:)", html) == []
    assert "<b>how</b>" not in html


def test_every_spelling_of_an_answer_is_shown(config: Path) -> None:
    row = {"question": "which city ?", "answer": ["NYC", "New York"]}
    json_lines(config.parent / "data" / "train.jsonl", [row])
    page = config.parent / "page.html"
    main(["inspect", f"--config={config}", f"--page={page}", "--data.source.columns.several_answers=any"])
    assert "<code>NYC</code> or <code>New York</code>" in page.read_text()


def test_a_policy_that_is_not_there_leaves_the_prompts_as_text(config: Path) -> None:
    page = config.parent / "page.html"
    main(["inspect", f"--config={config}", f"--page={page}", "--model.policy.path=/not/there"])
    html = page.read_text()
    assert "Prompts are shown as text" in html
    assert "&lt;image&gt; how many red ?" in html


def test_data_that_cannot_be_read_are_an_error_of_one_sentence_and_a_page(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = config.parent / "page.html"
    for split in ("train", "val"):
        (config.parent / "data" / f"{split}.jsonl").unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", f"--config={config}", f"--page={page}"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: data.source.path=")
    assert "has no file for the split train" in page.read_text()


def test_a_test_split_without_a_file_is_a_note_and_a_named_one_an_error(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = config.parent / "page.html"
    config.write_text(config.read_text().replace("test: null", "test: test"))
    main(["inspect", f"--config={config}", f"--page={page}"])
    data = config.parent / "data"
    assert f"test: no test file in {data}, and only the command test needs one\n" in capsys.readouterr().out
    assert 'class="bad">no test file' not in page.read_text()
    main(["inspect", f"--config={config}", f"--page={page}", "--data.source.test=held_out"])
    assert "test: data.source.path=" in capsys.readouterr().out
    assert "has no file for the split test" in page.read_text()


def test_nothing_is_trained_and_no_run_folder_made(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    before = set(Path.cwd().iterdir())
    main(["inspect", f"--config={config}"])
    assert set(Path.cwd().iterdir()) - before == {Path.cwd() / "runs"}
    assert (Path.cwd() / "runs" / "inspect.html").is_file()
    assert json.loads((config.parent / "data" / "train.jsonl").read_text().splitlines()[0])["id"] == "row 0"
