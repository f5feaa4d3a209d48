"""The monitor on probes of other kinds: captions about objects, POPE's yes/no questions, and none at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from algorithms import Completion, ConfigError, DataError, Prompt
from callbacks import ProbeConfig
from cli.app import run
from rollouts import RolloutEngine, SamplingConfig
from tests.callbacks.loop.test_hallucination_loop import named, scalars
from tests.test_training import arguments, policy_folder

__all__ = ["policy_folder"]

CAPTIONS = {
    "Describe the image.": "A man walks two dogs past a bicycle.",
    "What do you see?": "</think> A cat.",
}


class SaysCaptions(RolloutEngine):
    """An engine that has the same words for every image: a caption for a probe, yes for anything else."""

    def __init__(self) -> None:
        self.policy: Any = None

    def sync(self, policy: Any, *, version: int) -> None:
        self.policy = policy

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        ids = torch.tensor(self.policy.encoder.tokenizer("yes")["input_ids"])
        return [
            [
                Completion(
                    token_ids=ids, behavior_logps=torch.zeros(len(ids)), finish_reason="stop",
                    text=CAPTIONS.get(prompt.question, "yes"),
                )
            ] * sampling.group_size
            for prompt in prompts
        ]  # fmt: skip


class SaysNo(SaysCaptions):
    """An engine that denies everything."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        ids = torch.tensor([1])
        said = Completion(token_ids=ids, behavior_logps=torch.zeros(1), finish_reason="stop", text="No.")
        return [[said] * sampling.group_size for _ in prompts]


def monitor(judge: str, source_class: str, **settings: Any) -> list[str]:
    """Flags for a monitor on a source of probes, classes by their short names."""
    probes = "--callbacks.hallucination.probes"
    return [
        "--callbacks.hallucination=HallucinationMonitor", f"--callbacks.hallucination.judge={judge}",
        f"{probes}.num_probes=16", f"{probes}.kind_column=category", f"{probes}.source={source_class}",
        *(f"{probes}.source.{key}={value}" for key, value in settings.items()),
    ]  # fmt: skip


def last(folder: Path) -> dict[str, float]:
    return {
        key.removeprefix("hallucination/"): values[-1][1]
        for key, values in scalars(folder).items()
        if key.startswith("hallucination/") and values
    }


def captioned(folder: Path) -> Path:
    """Two pictures with COCO's names of what they show, each asked about in one way; one row of no use."""
    folder.mkdir()
    rows = [
        {"question": "Nobody knows.", "category": "short"},
        {"question": "Describe the image.", "facts": ["person", "dog", "dog"], "category": "detail"},
        {"question": "What do you see?", "facts": ["cat"], "category": "short"},
        {"question": " ", "facts": ["cat"]},
    ]
    for number, row in enumerate(rows):
        row["image"] = f"{number}.png"
        Image.new("RGB", (48, 48), (80 * number, 0, 0)).save(folder / f"{number}.png")
    (folder / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_captions_are_judged_by_the_objects_that_they_name(policy_folder: Path) -> None:
    root = policy_folder.parent
    flags = monitor("ObjectJudge", "PromptFolder", path=captioned(root / "captions"))
    engine = "--model.init_args.engine=tests.callbacks.loop.test_monitor_probes.SaysCaptions"
    # Two probes are found, though the first of the rows is none.
    short = ("--callbacks.hallucination.probes.num_probes=2", "--trainer.max_steps=1", "--trainer.limit_val_batches=0")
    run(arguments("fit", policy_folder, *flags, engine, *short))
    values = last(root)
    # "man", "dogs" and "cat" are there, "bicycle" is not.
    assert values["rate"] == pytest.approx(1 / 4)
    assert values["rate_of_detail"] == pytest.approx(1 / 3)
    assert values["rate_of_short"] == 0.0
    assert (values["rate_absent"], values["rate_surplus"]) == (pytest.approx(1 / 4), 0.0)
    assert (values["coverage"], values["completions"], values["claims_per_completion"]) == (1.0, 0.5, 2.0)
    (report,) = root.rglob("rejected_probes.json")
    assert json.loads(report.read_text())["by_reason"] == {"empty question": 1}


def test_a_file_of_pope_is_asked_and_the_rate_is_one_minus_precision(policy_folder: Path) -> None:
    root = policy_folder.parent
    images = captioned(root / "images")
    rows = [
        {"question_id": 1, "image": "0.png", "text": "Is there a dog in the image?", "label": "yes"},
        {"question_id": 2, "image": "0.png", "text": "Is there a cat in the image?", "label": "no"},
        {"question_id": 3, "image": "1.png", "text": "Is there a cup in the image?", "label": "no"},
    ]
    file = root / "coco_pope_random.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # The random policy of the tests never says no, which counts as a yes.
    cli = run(arguments("validate", policy_folder, *monitor("YesNoJudge", "PopeFile", path=file, images=images)))
    values = last(root)
    assert values["rate"] == values["rate_of_random"] == pytest.approx(2 / 3)
    assert values["claims_per_completion"] == 1.0
    assert "coverage" not in values
    assert float(cli.trainer.callback_metrics["hallucination/rate"]) == pytest.approx(2 / 3)


@pytest.mark.long
def test_built_probes_are_asked_and_a_policy_that_denies_everything_claims_nothing(policy_folder: Path) -> None:
    root = policy_folder.parent
    flags = monitor("YesNoJudge", "PopeFolder", root=root / "probes", source="PromptFolder", num_pairs=1)
    flags += [f"--callbacks.hallucination.probes.source.source.path={captioned(root / 'captions')}"]
    run(arguments("validate", policy_folder, *flags))
    by_category = {key: value for key, value in last(root).items() if key.startswith("rate_of_")}
    # Half of the right answers are no, and the random policy always counts as saying yes.
    assert by_category == {f"rate_of_{name}": 0.5 for name in ("random", "popular", "adversarial")}
    engine = "--model.init_args.engine=tests.callbacks.loop.test_monitor_probes.SaysNo"
    run(arguments("validate", policy_folder, *flags, engine, f"--trainer.logger.save_dir={root / 'denied'}"))
    values = last(root / "denied")
    assert (values["rate"], values["rate_low"], values["rate_high"]) == (0.0, 0.0, 1.0)
    assert (values["claims_per_completion"], "rate_of_random" in values) == (0.0, False)


def test_probes_that_the_judge_cannot_judge_are_refused(policy_folder: Path) -> None:
    flags = monitor("YesNoJudge", "PromptFolder", path=captioned(policy_folder.parent / "captions"))
    with pytest.raises(
        DataError, match=r"val\.jsonl has no probe .* 3 of its 4 rows are prompts, and YesNoJudge can judge none"
    ):
        run(arguments("validate", policy_folder, *flags))


@pytest.mark.parametrize("key", ["num_probes", "num_samples"])
def test_a_round_needs_a_probe_and_a_sample_of_it(policy_folder: Path, key: str) -> None:
    flags = monitor("YesNoJudge", "PromptFolder", path="unread")
    with pytest.raises(ConfigError, match=rf"^callbacks\.hallucination\.probes\.{key} must be at least 1, got 0"):
        run(arguments("validate", policy_folder, *flags, f"--callbacks.hallucination.probes.{key}=0"))


def test_the_settings_of_probes_keep_their_defaults_one_by_one(policy_folder: Path) -> None:
    seed = "--callbacks.hallucination.probes.seed=5"
    cli = run(arguments("validate", policy_folder, "--callbacks.hallucination=HallucinationMonitor", seed))
    assert named(cli, "HallucinationMonitor").probes == ProbeConfig(seed=5)
