import json
import random
from pathlib import Path

import pytest
import yaml

from algorithms import ConfigError
from datamodules import ShapesDemonstrations, ShapesFolder
from datamodules.rows.prompt_rows import read_prompts
from datamodules.shapes.language import CLAIM_GRAMMAR, LEVELS, WORDS, sample_question, sample_tour, solve
from datamodules.shapes.scene import draw_scene, layout_split, sample_scene
from hallucination import find_claims

MEDIUM = LEVELS["medium"]


def scene(index: int, split: str = "train"):
    return sample_scene(0, split, "prompts", index, num_objects=MEDIUM.num_objects)


def test_a_scene_is_a_function_of_its_position() -> None:
    assert scene(5) == scene(5) != scene(6)
    assert draw_scene(scene(5)).tobytes() == draw_scene(scene(5)).tobytes()


def test_no_layout_and_no_seed_is_in_two_splits() -> None:
    scenes = {split: [scene(i, split) for i in range(200)] for split in ("train", "val", "test")}
    assert all(layout_split(s.cells) == split for split, of_split in scenes.items() for s in of_split)
    seeds = [s.seed for of_split in scenes.values() for s in of_split]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("index", range(30))
def test_looking_gives_the_right_answer_and_no_unsupported_claim(index: int) -> None:
    chance = random.Random(index)
    question = sample_question(scene(index), MEDIUM, chance)
    answer = question.answer([scene(index).count(t) for t in question.targets])
    completion = solve(question, scene(index), chance, guess_share=0.0)
    assert answer >= 0
    assert completion.endswith(f"\\boxed{{ {answer} }}")
    assert all(claim.is_supported for claim in find_claims(completion, scene(index).things, CLAIM_GRAMMAR))


def test_guessing_makes_unsupported_claims() -> None:
    claims = []
    for i in range(50):
        chance = random.Random(i)
        completion = solve(sample_question(scene(i), MEDIUM, chance), scene(i), chance, guess_share=1.0)
        claims += find_claims(completion, scene(i).things, CLAIM_GRAMMAR)
    assert sum(not c.is_supported for c in claims) / len(claims) > 0.5


def test_every_word_of_the_world_is_in_the_vocabulary_and_the_config() -> None:
    words = set()
    for i in range(300):
        chance = random.Random(i)
        question = sample_question(scene(i), LEVELS["medium"], chance)
        words |= set(question.text.split()) | set(solve(question, scene(i), chance, guess_share=0.5).split())
        words |= {w for text in sample_tour(scene(i), chance) for w in text.split()}
    assert words - {"</think>"} <= set(WORDS)
    config = yaml.safe_load(Path("configs/tiny/stages/language_model.yaml").read_text())
    assert config["model"]["init_args"]["policy"]["init_args"]["words"] == list(WORDS)


def test_the_folder_is_read_by_the_general_reader_without_a_rejection(tmp_path: Path) -> None:
    source = ShapesFolder(num_train=6, num_val=3, num_test=2, root=str(tmp_path))
    source.prepare()
    rows = read_prompts(source.split_file("train"), source.folder, max_image_pixels=10**6)
    assert (len(rows.prompts), rows.rejections) == (6, ())
    row = json.loads(source.split_file("train").read_text().splitlines()[0])
    assert rows.prompts[0].facts == tuple(row["facts"])
    assert rows.prompts[0].images[0].load().size == (48, 48)
    assert [p.name for p in tmp_path.iterdir()] == [source.folder.name]


def test_demonstrations_do_not_guess_before_their_time(tmp_path: Path) -> None:
    source = ShapesDemonstrations(
        num_train=40, num_val=2, pictures=False, guess_share=1.0, guess_from=0.5, tour_share=0.0, read_share=0.0,
        root=str(tmp_path),
    )  # fmt: skip
    source.prepare()
    lines = [json.loads(line)["completion"] for line in source.split_file("train").read_text().splitlines()]
    assert not any("guess" in line for line in lines[:20])
    assert all("guess" in line for line in lines[20:])


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.source.guess_share must lie in \[0, 1\], got 1.5"):
        ShapesDemonstrations(guess_share=1.5)
