import json
from pathlib import Path

import numpy as np
import pytest

from algorithms import ConfigError
from datamodules import MosaicDemonstrations, MosaicFolder, MosaicPairs, PopeFolder
from datamodules.photographs.collection import photographs
from datamodules.photographs.reasoning import CLAIM_GRAMMAR
from hallucination import GrammarJudge, find_claims
from tests.datamodules.photographs.made import GRAYS, write_collection


@pytest.fixture
def made(tmp_path: Path) -> dict[str, str]:
    return {"folder": str(write_collection(tmp_path / "idx")), "root": str(tmp_path / "drawn")}


def small(made: dict[str, str], **settings: object) -> MosaicFolder:
    numbers = {"num_train": 12, "num_val": 6, "num_test": 6}
    return MosaicFolder(**{**numbers, **made, **settings})  # pyright: ignore[reportArgumentType]


def grays(prompts: object) -> set[int]:
    return {int(gray) for prompt in prompts for gray in np.unique(np.asarray(prompt.images[0].load()))}  # pyright: ignore


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_photographs_of_a_split_are_in_no_other(made: dict[str, str], split: str) -> None:
    source = small(made)
    source.prepare()
    rows = source.read(split, max_image_pixels=10**6)
    assert rows.rejections == ()
    assert grays(rows.prompts) <= set(GRAYS[split])


def test_facts_and_claims_are_what_the_pixels_show(made: dict[str, str]) -> None:
    source = small(made, large_share=0.5)
    source.prepare()
    names = [kind.name for kind in photographs("fashion", "train", made["folder"]).kinds]
    sides = set()
    for prompt in source.read("train", max_image_pixels=10**6).prompts:
        pixels = np.asarray(prompt.images[0].load())[14::28, 14::28, 0]  # the middle of each photograph
        sides.add(len(pixels))
        # The gray of a photograph of the training file is its position, and its label the last digit of that.
        assert [names[gray % 10] for gray in pixels.flatten()] == list(prompt.facts or ())
        claimed = [claim.split(": ")[-1] for claim in prompt.columns["true_claims"]]
        assert claimed == list(prompt.facts or ()) * 2
    assert sides == {2, 3}


def test_more_rows_leave_the_first_ones_as_they_are(made: dict[str, str]) -> None:
    few, many = small(made), small(made, num_train=20)
    assert few.folder != many.folder
    for source in (few, many):
        source.prepare()
    lines = [source.split_file("train").read_text().splitlines() for source in (few, many)]
    assert lines[0] == lines[1][:12]


def test_a_blind_folder_has_the_same_questions_and_nothing_to_see(made: dict[str, str]) -> None:
    seen, blind = small(made), small(made, blind=True)
    for source in (seen, blind):
        source.prepare()
    questions = [s.split_file("test").read_text() for s in (seen, blind)]
    assert questions[0] == questions[1]
    assert len(grays(blind.read("test", max_image_pixels=10**6).prompts)) == 1


def test_the_mosaics_serve_as_probes_of_POPE(made: dict[str, str]) -> None:
    probes = PopeFolder(small(made), root=made["root"])
    probes.prepare()
    prompts = probes.read("test", max_image_pixels=10**6).prompts
    assert all((p.answer == "yes") == (p.columns["object"] in (p.facts or ())) for p in prompts)
    assert {p.answer for p in prompts} == {"yes", "no"}


def test_demonstrations_are_careless_only_after_their_time_and_label_every_patch(made: dict[str, str]) -> None:
    source = MosaicDemonstrations(
        num_train=40, num_val=2, request_share=0.0, careless_share=1.0, careless_from=0.5, **made
    )
    source.prepare()
    rows = [json.loads(line) for line in source.split_file("train").read_text().splitlines()]
    careless = ["At a glance" in row["completion"] for row in rows]
    assert careless == [False] * 20 + [True] * 20
    for row in rows:
        assert len(row["cells"]) == 36
        assert row["cells"][0] == row["facts"][0]
        assert row["cells"][-1] == row["facts"][-1]
        assert set(row["cells"]) == set(row["facts"])
        assert [len(row["patch_words"]), row["patch_words"][-1]] == [36, row["facts"][-1]]


def test_the_better_completion_of_a_pair_has_fewer_false_claims_or_looks(made: dict[str, str]) -> None:
    source = MosaicPairs(num_train=60, num_val=2, careless_share=0.4, **made)
    source.prepare()
    rows = source.read("train", max_image_pixels=10**6)
    assert rows is not None
    assert {pair.kind for pair in rows.pairs} == {"errors", "careless"}
    for line in (source.folder / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        places = [": ".join(claim) for claim in zip(_places(row), row["facts"], strict=True)]
        wrong = [
            sum(not claim.is_supported for claim in find_claims(row[side], [*row["facts"], *places], CLAIM_GRAMMAR))
            for side in ("chosen", "rejected")
        ]
        assert wrong[0] < wrong[1] if row["kind"] == "errors" else "At a glance" in row["rejected"]


def _places(row: dict[str, list[str]]) -> tuple[str, ...]:
    from datamodules.photographs.mosaic import PLACES

    return PLACES[2 if len(row["facts"]) == 4 else 3]


def test_a_judge_reads_the_claims_with_their_places(made: dict[str, str]) -> None:
    source = small(made)
    source.prepare()
    prompt = source.read("test", max_image_pixels=10**6).prompts[0]
    judge = GrammarJudge(CLAIM_GRAMMAR.mention, facts_column="true_claims")
    first, last = (prompt.facts or ())[0], (prompt.facts or ())[-1]
    other = "bag" if last != "bag" else "boot"
    claims = judge.claims(prompt, f"top left: {first}; bottom right: {other}.")
    assert claims is not None
    assert [claim.is_supported for claim in claims] == [True, False]
    assert GrammarJudge(CLAIM_GRAMMAR.mention, facts_column="absent").claims(prompt, "a bag") is None


def test_files_that_are_not_there_come_with_one_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="apt-get install dataset-fashion-mnist"):
        MosaicFolder(folder=str(tmp_path / "none"), root=str(tmp_path)).prepare()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"large_share": 1.5}, "data.source.large_share must lie in"),
        ({"kinds": ["colour"]}, "data.source.kinds must name"),
        ({"kinds": []}, "data.source.kinds must name"),
        ({"num_val": 0}, "data.source.num_val"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        MosaicFolder(**settings)  # pyright: ignore[reportArgumentType]
