"""Blind probes through the commands: a policy that looks loses by it, one that guesses does not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from algorithms import Completion, ConfigError, DataError, Prompt
from callbacks import BlindProbes
from cli.app import run
from models import PretrainedPolicy
from rollouts import RolloutEngine, SamplingConfig
from tests.conftest import long
from tests.test_training import arguments, largest_difference, policy_folder, weights

__all__ = ["policy_folder"]

BLIND = "--callbacks.blind=callbacks.BlindProbes"
# Red pictures have the answer yes.
ANSWERS = ["yes", "no", "no", "no"]


class Looks(RolloutEngine):
    """Says yes where the first pixel of its picture is red, else no."""

    def sync(self, policy: Any, *, version: int) -> None:
        self.policy = policy

    def says(self, prompt: Prompt) -> str:
        if not prompt.images:
            return "no"
        pixel = np.asarray(prompt.images[0].load())[0, 0]
        return "yes" if pixel[0] > 200 and pixel[2] < 50 else "no"

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingConfig, *, seed: int) -> list[list[Completion]]:
        ids = torch.tensor(self.policy.encoder.tokenizer("how many red")["input_ids"])
        return [
            [Completion(token_ids=ids, behavior_logps=torch.zeros(len(ids)), text=self.says(p), finish_reason="stop")]
            * sampling.group_size
            for p in prompts
        ]


class Guesses(Looks):
    """Says no, whatever it is shown."""

    def says(self, prompt: Prompt) -> str:
        return "no"


class Says:
    """1 for the very answer; unknown where there is none."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Sequence[float | None]:
        return [
            None if p.answer is None else float(p.answer == c.text) for p, c in zip(prompts, completions, strict=True)
        ]


def pictures(folder: Path) -> Path:
    """One red picture and three others, each asked about; a further row without an answer, and one without picture."""
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    for number, answer in enumerate(ANSWERS):
        color = (255, 0, 0) if answer == "yes" else (0, 60 * number, 255)
        Image.new("RGB", (48, 48), color).save(folder / f"{number}.png")
        rows.append({"question": "how many red ?", "image": f"{number}.png", "answer": answer})
    rows += [{"question": "how many blue ?", "image": "1.png"}, {"question": "how many ?", "answer": "no"}]
    for split in ("val", "test"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def probed(command: str, policy: Path, folder: Path, engine: str, *extra: str) -> dict[str, float]:
    """What a command logs of blind probes."""
    flags = (
        "--data.source=PromptFolder", f"--data.source.path={folder}", BLIND, *extra,
        f"--model.init_args.engine=tests.callbacks.loop.test_blind_probes.{engine}",
        "--model.init_args.reward.parts.accuracy.reward=tests.callbacks.loop.test_blind_probes.Says",
    )  # fmt: skip
    own = [flag for flag in arguments(command, policy) if "data.init_args.source" not in flag]
    metrics = run([*own, *flags]).trainer.callback_metrics
    return {name.removeprefix("blind/"): float(value) for name, value in metrics.items() if name.startswith("blind/")}


def logp(policy: Path, folder: Path, color: tuple[int, int, int] | None) -> float:
    """The log-probability of the written completion after the five questions, in nats per token."""
    loaded = PretrainedPolicy(str(policy)).build()
    ids = torch.tensor(loaded.encoder.tokenizer("how many red")["input_ids"])
    total = 0.0
    for number, question in [*((n, "how many red ?") for n in range(4)), (1, "how many blue ?")]:
        picture = Image.open(folder / f"{number}.png") if color is None else Image.new("RGB", (48, 48), color)
        reference = type("Shown", (), {"load": lambda self, picture=picture: picture})()
        prompt = Prompt(uid=0, key="0", question=question, images=(reference,))
        with torch.no_grad():
            scores = loaded.completion_scores([prompt], torch.tensor([0]), ids[None], torch.ones(1, len(ids)).bool())
        total += float(scores.logps.sum())
    return total / (5 * len(ids))


def test_a_policy_that_looks_loses_what_the_pictures_told_it(policy_folder: Path) -> None:
    folder = pictures(policy_folder.parent / "pictures")
    values = probed("validate", policy_folder, folder, "Looks")
    # Of four known answers all are right; gray is not red, so without pictures the three noes are right.
    assert (values["accuracy_seen"], values["accuracy_blank"], values["accuracy_gap_blank"]) == (1.0, 0.75, 0.25)
    # The red picture is exchanged for another; whether another prompt gets the red one depends on the draw.
    assert values["accuracy_shuffled"] in (0.75, 0.5, 0.25, 0.0)
    assert values["accuracy_gap_shuffled"] == 1.0 - values["accuracy_shuffled"]
    # One of five pictured prompts has no answer, in each of four rounds.
    assert values["unknown_fraction"] == pytest.approx(0.2)
    gap = logp(policy_folder, folder, None) - logp(policy_folder, folder, (128, 128, 128))
    assert values["logp_gap_blank"] == pytest.approx(gap, abs=1e-5)
    assert gap != 0.0


@pytest.mark.parametrize("command", [long("test"), long("validate")])
def test_a_policy_that_guesses_loses_nothing(policy_folder: Path, command: str) -> None:
    folder = pictures(policy_folder.parent / "pictures")
    values = probed(command, policy_folder, folder, "Guesses", "--callbacks.blind.kinds=[blank,masked]")
    gaps = {name: value for name, value in values.items() if name.startswith("accuracy")}
    assert gaps == {
        "accuracy_seen": 0.75, "accuracy_blank": 0.75, "accuracy_masked": 0.75,
        "accuracy_gap_blank": 0.0, "accuracy_gap_masked": 0.0,
    }  # fmt: skip


@pytest.mark.long
def test_in_training_probes_change_nothing_and_are_asked_when_they_are_due(policy_folder: Path) -> None:
    without = weights(run(arguments("fit", policy_folder)))
    cli = run(
        arguments("fit", policy_folder, BLIND, "--callbacks.blind.num_probes=4", "--callbacks.blind.every_n_steps=3")
    )
    assert largest_difference(without, weights(cli)) == 0.0
    probes = next(callback for callback in cli.trainer.callbacks if type(callback).__name__ == "BlindProbes")
    # Steps 0 and 3, and 4, where the run validates.
    assert probes.last_step == 4
    assert {"blind/accuracy_gap_shuffled", "blind/logp_gap_masked", "time/blind_seconds"} <= probes.values.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": []}, r"callbacks\.blind\.kinds must name one or more of blank, shuffled, masked, got \[\]"),
        ({"num_probes": 1}, r"callbacks\.blind\.num_probes must be at least 2, got 1"),
        ({"masked_share": 0.0}, r"callbacks\.blind\.masked_share must lie above 0 and be at most 1, got 0\.0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BlindProbes(**settings)


@pytest.mark.long
def test_prompts_without_pictures_cannot_be_probed(policy_folder: Path) -> None:
    folder = policy_folder.parent / "texts"
    folder.mkdir()
    (folder / "val.jsonl").write_text('{"question": "how many ?", "answer": "no"}\n' * 3)
    with pytest.raises(DataError, match=r"callbacks\.blind: the split val has 0 prompts with images"):
        probed("validate", policy_folder, folder, "Guesses")
