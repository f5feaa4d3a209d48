import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.real.page import PICTURES, collected, page
from experiments.real.shares import change, share
from experiments.real.tables import at_a_glance


def result(stage: str, seed: int, right: list[int]) -> dict[str, Any]:
    number = len(right)
    pictures = {
        "greedy": right, "sampled": [4 * each for each in right], "claims": [4] * number,
        "unsupported": [4 - 4 * each for each in right], "blind": [0] * number, "kind": ["presence"] * number,
        "items": [[4, 4], [0, 9]],
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


def test_pope_is_counted_over_pictures_and_a_policy_that_never_says_yes_has_no_f1() -> None:
    seen = result("answers", 0, [1, 1])
    seen["measures"]["by_picture"]["pope"] = [[3, 1, 2, 0], [1, 0, 3, 2]]
    assert share([seen], "POPE accuracy")[0] == 9 / 12
    assert share([seen], "POPE F1")[0] == 2 * 4 / (2 * 4 + 1 + 2)
    seen["measures"]["by_picture"]["pope"] = [[0, 0, 3, 3], [0, 0, 3, 3]]
    assert share([seen], "POPE F1") == (0.0, 0.0, 0.0)
    assert share([seen], "POPE accuracy") == (0.5, 0.5, 0.5)


def test_a_share_is_that_of_one_kind_of_question_where_one_is_named() -> None:
    mixed = result("answers", 0, [1, 0, 0])
    mixed["measures"]["by_picture"]["kind"] = ["place", "place", "presence"]
    assert share([mixed], "greedy accuracy", "place")[0] == 0.5
    assert share([mixed], "greedy accuracy", "presence") == (0.0, 0.0, 0.0)
    assert share([mixed], "greedy accuracy", "count").percent == ""


def verdicts(*results: dict[str, Any]) -> dict[str, str]:
    rows = [line.strip("| ").split(" | ") for line in at_a_glance(results).splitlines()[2:]]
    return {row[0].split(":")[0]: row[2] for row in rows}


def test_what_was_hoped_for_is_said_to_hold_only_where_the_whole_interval_does() -> None:
    wrong, right, half = [0] * 40, [1] * 40, [0, 1] * 20
    base = result("answers", 0, wrong)
    assert verdicts(base) == {}
    assert verdicts(base, result("grpo", 0, right))["GRPO with the buffer"] == "yes"
    assert verdicts(result("answers", 0, half), result("grpo", 0, half))["GRPO with the buffer"] == "yes"
    told = verdicts(base, result("grpo", 0, right), result("no_ssb", 0, right))
    assert told["GRPO with the buffer above GRPO without, completions alike"] == "yes"
    few = [1, 1, 0, 0, 1, 0, 1, 0, 1, 0] * 4
    other = [0, 1, 0, 1, 1, 0, 0, 1, 1, 1] * 4
    told = verdicts(base, result("grpo", 0, few), result("no_ssb", 0, other))
    assert told["GRPO with the buffer above GRPO without, completions alike"] == "not told apart"
    told = verdicts(result("mpo", 0, wrong), result("sft", 0, right))
    assert told["MPO"] == "no"
    # A gain of 12.5 points, of which other pictures might leave less than ten.
    told = verdicts(base, result("grpo", 0, [1, 0, 0, 0, 0, 0, 0, 0] * 5))
    sampled = at_a_glance([base, result("grpo", 0, [1, 0, 0, 0, 0, 0, 0, 0] * 5)]).splitlines()[2]
    assert sampled.endswith("| yes, though its interval begins below that |")


def numbers(*results: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"stages": list(results), **further}


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
    # What is trained and not measured yet has no numbers.
    (tmp_path / "seed-0" / "mpo.trained.json").write_text(json.dumps(tower | {"stage": "mpo"}))
    found = collected(tmp_path)
    assert [(each["stage"], each["seed"]) for each in found["stages"]] == [
        ("tower", 0), ("answers", 0), ("answers", 1), ("grpo", 0), ("grpo", 1),
    ]  # fmt: skip
    text = page(found)
    assert text.count("\n| base |") == 6  # answers, kinds, blindness, POPE of two seeds, what it says
    assert "| tower | 9 |  |" in text
    assert "| all | 15 | 6 |" in text
    assert "No numbers here: SFT on chosen completions, MPO, GRPO without the buffer." in text
    assert "MPO |" not in text
    assert "| - seed 1 |" in text
    assert "grpo \\| says" in text


def test_alignment_is_told_by_size_of_picture_with_an_interval_over_pictures() -> None:
    aligned = {
        "stage": "align", "seed": 0, "device": "CPU, 1 threads", "seconds": 9.0,
        "flags": ["--trainer.max_steps=70", "--data.init_args.reading.batch_size=16"],
        "items": {"items": [[4, 4], [2, 4], [0, 9]]},
    }  # fmt: skip
    before = aligned | {"stage": "words", "flags": [], "items": {"items": [[1, 4], [1, 4], [0, 9]]}}
    text = page(numbers(before, aligned, result("answers", 0, [1, 0])))
    assert "| before: an adapter that says words, seed 0 | 25.0 % (25.0 to 25.0) | 0.0 % (0.0 to 0.0) |" in text
    assert "| aligned, seed 0 | 75.0 % (50.0 to 100.0) | 0.0 % (0.0 to 0.0) |" in text
    assert "| align | `max_steps=70`, `batch_size=16` |" in text
    assert "## Alignment" not in page(numbers(result("answers", 0, [1, 0])))


def test_the_page_says_what_was_tested() -> None:
    test = {"questions": 96, "kinds": ["presence", "place"], "large_share": 0.0, "max_tokens": 96, "dtype": "bfloat16"}
    text = page(numbers(result("answers", 0, [1, 0]) | {"test": test}))
    assert "Test: 96 questions a seed (presence, place), 0% of them about mosaics of 3 x 3" in text
    assert "Not asked, though the world has it: count, sum, comparison, neighbour." in text


def test_the_page_says_of_what_length_its_runs_were() -> None:
    text = page(numbers(result("answers", 0, [1, 0]) | {"scale": "fast"}))
    assert "Scale `fast`." in text
    assert "too short to tell one policy from another" in text


def test_the_language_model_as_it_came_stands_before_what_training_left_of_it() -> None:
    def told(share: float, said: str) -> dict[str, Any]:
        return {"all": share, "arithmetic": share, "facts": share, "instructions": share, "completions": [said] * 20}

    trained = result("answers", 0, [1, 0])
    trained["measures"]["text"] = told(0.25, "a `cat`\nand a bag")
    text = page(numbers(trained, language_model={"text": told(0.75, "5")}))
    table = text.split("## Without a picture")[1]
    assert table.index("| the language model as it came | 75.0 %") < table.index("| base | 25.0 %")
    assert "| the language model as it came | `5` |" in table
    assert "| base | `a 'cat' and a bag` |" in table


def test_the_page_is_what_the_stored_numbers_say() -> None:
    text = page(json.loads(Path("docs/results-real.json").read_text()))
    assert Path("docs/results-real.md").read_text() == text
    shown = {line.split("/")[-1].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert shown == {file.name for file in PICTURES.iterdir()}
