"""The chain on real photographs: its command lines, its measures, and that a stopped one goes on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algorithms import Prompt
from cli.app import run
from datamodules.photographs.collection import CollectionName
from datamodules.photographs.mosaic import placed
from experiments.real import measures, running, stages, text_check
from experiments.real.measures import measured
from experiments.real.page import collected, page
from experiments.real.running import Chain, run_stage
from experiments.real.scales import SCALES
from experiments.real.shares import share
from experiments.real.stages import STAGES
from experiments.real.text_check import CHECKS, text_only_check
from models import Policy
from rollouts import SamplingConfig
from rollouts.embedded.engine import TransformersEngine
from tests.experiments.conftest import collection_flags
from tests.experiments.small_chain import measured_on_small_photographs, small_flags


@pytest.mark.parametrize("name", STAGES)
def test_the_command_line_of_a_stage_is_accepted_at_every_scale(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [flag for scale in SCALES.values() for flag in scale.flags.get(name, ())]
    with pytest.raises(SystemExit) as stopped:
        run([*stages.arguments(name, 3, tmp_path, flags), "--print_config"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert str(tmp_path / name) in printed
    # Nothing is built on the way: every input is what an earlier stage wrote.
    assert "runs/built" not in printed
    assert all(str(tmp_path / earlier) in printed for earlier in STAGES[name].inputs.values())


def test_every_stage_comes_after_those_that_it_reads() -> None:
    order = list(STAGES)
    for name, stage in STAGES.items():
        assert all(order.index(earlier.split("/")[0]) < order.index(name) for earlier in stage.inputs.values())
    for scale in SCALES.values():
        assert set(scale.flags) <= set(scale.stages) <= set(order)
        assert list(scale.stages) == sorted(scale.stages, key=order.index)


class KnowsThePicture(TransformersEngine):
    """Says what is there, and answers rightly; without a picture, too, unless it is gray."""

    is_careless = False

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Any]]:
        groups = super().generate(prompts, SamplingConfig(group_size=sampling.group_size, max_new_tokens=1), seed=seed)
        return [
            [_saying(each, self._text(prompt)) for each in group] for prompt, group in zip(prompts, groups, strict=True)
        ]

    def _text(self, prompt: Prompt) -> str:
        if not prompt.images:
            return "I have no picture."
        if self.is_careless or len(prompt.images[0].load().getcolors() or []) == 1:
            return "At a glance: bag, bag, bag, bag, bag.</think>\\boxed{17}"
        listing = "; ".join(placed(tuple(prompt.facts or ())))
        return f"{listing}." if prompt.answer is None else f"{listing}.</think>\\boxed{{{prompt.answer}}}"


def _saying(completion: Any, text: str) -> Any:
    return replace(completion, text=text)


@pytest.fixture
def photographs_folder(tmp_path: Path) -> Iterator[Path]:
    with measured_on_small_photographs(tmp_path):
        yield tmp_path


def test_one_that_sees_everything_has_full_marks_and_is_blind_without_the_picture(
    policy: Policy, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "TransformersEngine", KnowsThePicture)
    result = measured(policy, seed=0, num_prompts=12, root=str(photographs_folder))
    assert result["greedy_accuracy"] == result["sampled_accuracy"] == result["item_accuracy"] == 1.0
    assert result["hallucination_rate"] == result["effective_fraction"] == result["blind_accuracy"] == 0.0
    assert result["blind_gap"] == result["pope_accuracy"] == result["pope_f1"] == 1.0
    # The same out of what is kept by picture.
    assert share([{"measures": result}], "POPE F1") == share([{"measures": result}], "POPE accuracy") == (1.0, 1.0, 1.0)
    assert len(result["by_picture"]["greedy"]) == 12
    json.dumps(result)


def test_one_that_does_not_look_claims_what_is_not_there(
    policy: Policy, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "TransformersEngine", KnowsThePicture)
    monkeypatch.setattr(KnowsThePicture, "is_careless", True)
    result = measured(policy, seed=0, num_prompts=12, root=str(photographs_folder))
    assert result["greedy_accuracy"] == result["item_accuracy"] == result["blind_gap"] == 0.0
    assert result["hallucination_rate"] > 0.5
    kept = [share([{"measures": result}], name)[0] for name in ("POPE accuracy", "POPE F1")]
    assert kept == pytest.approx([result["pope_accuracy"], result["pope_f1"]])


def test_listing_is_measured_by_size_of_picture(
    policy: Policy, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "TransformersEngine", KnowsThePicture)
    result = measures.listed(policy, seed=0, num_pictures=12, root=str(photographs_folder))
    assert result["item_accuracy"] == 1.0
    assert result["item_accuracy_by_size"] == {"4": 1.0, "9": 1.0}
    assert sorted({number for _, number in result["items"]}) == [4, 9]


class Answers(TransformersEngine):
    """Gives the same text for every prompt."""

    text = ""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Any]]:
        groups = super().generate(prompts, SamplingConfig(group_size=1, max_new_tokens=1), seed=seed)
        return [[_saying(group[0], self.text)] for group in groups]


def test_the_text_check_counts_what_a_completion_does(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(CHECKS) == 20
    monkeypatch.setattr(text_check, "TransformersEngine", Answers)
    assert text_only_check(policy)["all"] == 0.0
    monkeypatch.setattr(Answers, "text", "It is 12 and not 5, says the river.")
    assert text_only_check(policy)["arithmetic"] == 4 / 8  # two are 5, two are 12
    assert text_only_check(policy)["instructions"] == 1 / 6


@pytest.mark.long
def test_every_stage_runs_from_what_the_ones_before_it_wrote(tmp_path: Path) -> None:
    smoke = replace(SCALES["smoke"], num_prompts=2)
    with measured_on_small_photographs(tmp_path):
        for name in smoke.stages:
            run_stage(Chain(smoke, tmp_path, small_flags(name, tmp_path), data=str(tmp_path)), name, 0)
    numbers = collected(tmp_path)["stages"]
    assert {each["stage"] for each in numbers if "measures" in each} == {"answers", "grpo", "no_ssb", "sft", "mpo"}
    assert {each["stage"] for each in numbers if "items" in each} == {"words", "align"}
    assert {each["stage"] for each in numbers} == set(STAGES)
    # Each line of the page that goes by pictures finds them.
    assert "POPE F1 |" in page({"stages": numbers})


@pytest.mark.real
def test_every_stage_runs_with_the_real_model(
    tmp_path: Path, measured_collection: CollectionName, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, result = SCALES["smoke"].stages, dict[str, Any]()
    for name in order:
        # Measuring takes three quarters of the time and is the same for every policy: the last one stands for all.
        monkeypatch.setattr(running, "measured", measured if name == order[-1] else lambda *_, **__: {})
        flags = [*stages.QUIET, *collection_flags(name, measured_collection)]
        result = run_stage(Chain(SCALES["smoke"], tmp_path, flags), name, 0)
        assert ("measures" in result) == (STAGES[name].measures == "all")
    assert {path.stem for path in (tmp_path / "seed-0").glob("*.json")} == set(STAGES)
    assert {"greedy_accuracy", "hallucination_rate", "pope_f1", "blind_gap", "text_check"} <= result["measures"].keys()
