import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.real.page import change, collected, page, share


def result(stage: str, seed: int, right: list[int]) -> dict[str, Any]:
    number = len(right)
    pictures = {
        "greedy": right, "sampled": [4 * each for each in right], "claims": [4] * number,
        "unsupported": [4 - 4 * each for each in right],
    }  # fmt: skip
    further = dict.fromkeys(
        (
            "item_accuracy",
            "pope_accuracy",
            "pope_f1",
            "pope_yes_ratio",
            "blind_gap",
            "effective_fraction",
            "text_check",
        ),
        0.5,
    )
    said = [{"key": "test-000000", "question": "How many?", "answer": "2", "greedy": f"{stage} | says", "sampled": ""}]
    measures = {**further, "by_picture": pictures, "samples": said}
    return {"stage": stage, "seed": seed, "device": "CPU, 1 threads", "seconds": 3.0, "measures": measures}


def test_a_share_lies_in_its_interval_and_a_certain_one_has_none() -> None:
    value, low, high = share(
        [result("answers", 0, [1, 0, 1, 1]), result("answers", 1, [1, 1, 1, 0])], "greedy accuracy"
    )
    assert low < value == 0.75 < high
    assert share([result("answers", 0, [1, 1, 1])], "sampled accuracy") == (1.0, 1.0, 1.0)
    assert share([result("answers", 0, [1, 0])], "hallucination rate")[0] == 0.5


def test_a_change_is_taken_picture_by_picture() -> None:
    # The same pictures are hard for both: only the second one changes.
    before = [0, 0] * 20
    after = [0, 1] * 20
    value, low, _high = change([result("grpo", 0, after)], [result("answers", 0, before)], "greedy accuracy")
    assert value == 0.5
    assert low > 0.3
    same = change([result("grpo", 0, after)], [result("answers", 0, after)], "greedy accuracy")
    assert same == (0.0, 0.0, 0.0)


def test_the_page_has_a_row_for_every_policy_and_leaves_out_what_was_not_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for seed in (1, 0):
        for stage in ("grpo", "answers"):
            folder = tmp_path / f"seed-{seed}"
            folder.mkdir(exist_ok=True)
            right = [int(each) for each in rng.integers(0, 2, 30)]
            (folder / f"{stage}.json").write_text(json.dumps(result(stage, seed, right)))
    tower = {"stage": "tower", "seed": 0, "device": "CPU, 1 threads", "seconds": 9.0}
    (tmp_path / "seed-0" / "tower.json").write_text(json.dumps(tower))
    results = collected(tmp_path)
    assert [(each["stage"], each["seed"]) for each in results] == [
        ("tower", 0), ("answers", 0), ("answers", 1), ("grpo", 0), ("grpo", 1),
    ]  # fmt: skip
    text = page(results)
    assert text.count("| base |") == 3  # answers, further measures, what it says
    assert "| tower | 9 |  |" in text
    assert "MPO |" not in text
    assert "grpo \\| says" in text


def test_alignment_is_told_by_size_of_picture_with_an_interval_over_pictures() -> None:
    aligned = {
        "stage": "align", "seed": 0, "device": "CPU, 1 threads", "seconds": 9.0,
        "flags": ["--trainer.max_steps=70", "--data.init_args.reading.batch_size=16"],
        "items": {"items": [[4, 4], [2, 4], [0, 9]]},
    }  # fmt: skip
    text = page([aligned, result("answers", 0, [1, 0])])
    assert "| seed 0 | 75.0 % (50.0 to 100.0) | 0.0 % (0.0 to 0.0) |" in text
    assert "| align | `max_steps=70`, `batch_size=16` |" in text
    assert "## Alignment" not in page([result("answers", 0, [1, 0])])


def test_the_page_says_what_was_tested() -> None:
    test = {"questions": 96, "kinds": ["presence", "place"], "large_share": 0.0, "max_tokens": 96, "dtype": "bfloat16"}
    text = page([result("answers", 0, [1, 0]) | {"test": test}])
    assert "Test: 96 questions a seed (presence, place), 0% of them about mosaics of 3 x 3" in text


def test_the_page_is_what_the_stored_numbers_say() -> None:
    assert Path("docs/results-real.md").read_text() == page(json.loads(Path("docs/results-real.json").read_text()))
