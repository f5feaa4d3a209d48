"""The results browser: the stored runs as one HTML file that works from ``file://``, and as a folder for TensorBoard.

    browser/index.html           findings, tables, figures, and completions of held-out pictures
    browser/tensorboard/RUN/     curves, and final measures by hyperparameters (tab HParams)
    browser/cards/RUN-N.png      pictures with completions, taken from a run's own event files when it finishes

Stored runs contain no cards, so a page that is made only from stored runs has none.
"""

import base64
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.claims import Arm, Claim
from experiments.reproduce import shown
from experiments.reproduce.page import rendered
from experiments.reproduce.readings import filled_in
from experiments.reproduce.scales import Scale
from experiments.reproduce.starts import told_of_claim
from experiments.reproduce.stored import StoredRun, stored_mean, stored_runs
from experiments.reproduce.verdicts import Judged, RunsByArm, Verdict, verdict
from storage import whole_file

_CARDS = ("completions/fixed_0", "completions/fixed_1")
_HPARAMS = ("val/greedy_accuracy", "val/sampled_accuracy", "val/hallucination_rate", "val/coverage")


@dataclass(frozen=True)
class _Section:
    verdict: Verdict
    rows: Sequence[tuple[Arm, int, Sequence[str]]]
    figure: str
    """PNG in base64."""

    cards: Sequence[tuple[str, Sequence[str]]]
    starts: str
    why: str
    limits: str


def write_browser(claims: Sequence[Claim], scale: Scale) -> Path:
    """Write the page and the folder for TensorBoard, and return the page."""
    runs = stored_runs(scale.results, [arm for claim in claims for arm in (*claim.arms, *claim.trials)])
    folder = scale.browser / "tensorboard"
    # New events are appended to event files, so an earlier folder would show every run twice.
    shutil.rmtree(folder, ignore_errors=True)
    every = [run for by_seed in runs.values() for run in by_seed.values()]
    for run in every:
        _log(run, folder / run.name)
    text = rendered(
        "browser.html.jinja", is_html=True, claims=[_section(claim, runs, scale) for claim in claims],
        num_runs=len(every), tensorboard=folder, told=_told, seeds=shown.seeds,
    )  # fmt: skip
    page = scale.browser / "index.html"
    with whole_file(page) as draft:
        draft.write_text(text)
    return page


def keep_cards(run_folder: Path, name: str, scale: Scale) -> None:
    """Keep the last pictures with completions that a run logged."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for file in sorted(run_folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(file), size_guidance={"images": 0})
        events.Reload()
        for number, tag in enumerate(_CARDS):
            if tag in events.Tags()["images"]:
                with whole_file(scale.browser / "cards" / f"{name}-{number}.png") as draft:
                    draft.write_bytes(events.Images(tag)[-1].encoded_image_string)


def _section(claim: Claim, runs: RunsByArm, scale: Scale) -> _Section:
    figure = scale.figures / f"{claim.name}.png"
    rows = [
        (
            arm,
            len(runs[arm.name]),
            [shown.mean(stored_mean(runs[arm.name], each), each) for each in claim.measures],
        )
        for arm in claim.arms
    ]
    cards = [
        (arm.name, pictures)
        for arm in claim.arms
        if (pictures := [_base64(path) for path in sorted(_card_files(arm.name, runs, scale))])
    ]
    return _Section(
        verdict(claim, runs), rows, _base64(figure) if figure.is_file() else "", cards,
        starts=told_of_claim(claim, runs), why=filled_in(claim.why, runs), limits=filled_in(claim.limits, runs),
    )  # fmt: skip


def _card_files(arm: str, runs: RunsByArm, scale: Scale) -> Sequence[Path]:
    """Return the cards of an arm's first seed."""
    first = next(iter(runs[arm].values()), None)
    return [] if first is None else list((scale.browser / "cards").glob(f"{first.name}-*.png"))


def _log(run: StoredRun, folder: Path) -> None:
    """Write one run for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    given = {key: value for flag in run.arm.flags for key, _, value in [flag.removeprefix("--").partition("=")]}
    overlays = ", ".join(Path(overlay).stem for overlay in run.arm.overlays)
    with SummaryWriter(str(folder)) as writer:
        for metric, points in run.curves.items():
            for step, value, _ in points:
                writer.add_scalar(metric, value, int(step))
        finals = {f"final/{name}": run.metrics[name] for name in _HPARAMS if run.metrics.get(name) is not None}
        known = {"arm": run.arm.name, "config": run.arm.config, "overlays": overlays, "seed": run.seed, **given}
        writer.add_hparams({**known, "steps": run.steps}, finals, run_name=".")


def _told(judged: Judged) -> str:
    return shown.difference(judged.interval, judged.expectation.measure)


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
