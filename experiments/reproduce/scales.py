"""The sizes of a reproduction: full, fast, and a check that everything runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.claims import Arm

MEASURED = "configs/tiny/overlays/measured.yaml"


@dataclass(frozen=True)
class Scale:
    """One size of ``make reproduce``, and where its files go."""

    name: str
    """Name, as in the target of ``make``."""

    seeds: tuple[int, ...]
    results: Path
    """Folder of the stored runs."""

    page: Path
    figures: Path
    browser: Path
    """Folder of the results browser."""

    share: float = 1.0
    """Share of each arm's optimizer steps."""

    flags: tuple[str, ...] = ()
    """Flags of every run."""

    claims: tuple[str, ...] = ()
    """Names of the claims; empty: all claims."""

    pictures: int = 512
    """Number of validation pictures."""

    def with_seeds(self, seeds: Sequence[int] | None) -> "Scale":
        """Return this scale with other seeds, if any are given."""
        return replace(self, seeds=tuple(seeds)) if seeds else self

    def steps(self, arm: Arm) -> int:
        """Return the optimizer steps of an arm: a multiple of its validations, so that the last one is at the end."""
        if arm.steps < arm.validations:
            return arm.steps
        # A rollout has two steps.
        unit = 2 * arm.validations if self.share < 1 else arm.validations
        return max(1, round(self.share * arm.steps / unit)) * unit

    def run_flags(self, arm: Arm) -> list[str]:
        """Return the flags of an arm's runs."""
        steps = self.steps(arm)
        length = [f"--trainer.max_steps={steps}", f"--trainer.val_check_interval={max(1, steps // arm.validations)}"]
        return [*arm.flags, *length, *self.flags]


def _in_runs(name: str, share: float, num_val: int, claims: tuple[str, ...] = ()) -> Scale:
    folder = Path("runs") / name
    flags = (f"--trainer.logger.name={name}", f"--data.source.num_val={num_val}")
    return Scale(
        name=name,
        seeds=(0,),
        results=folder / "results",
        page=folder / "results.md",
        figures=folder / "figures",
        browser=folder / "browser",
        share=share,
        flags=flags,
        claims=claims,
        pictures=num_val,
    )


SCALES = {
    "full": Scale(
        name="reproduce",
        seeds=(0, 1, 2),
        results=Path("experiments/results"),
        page=Path("docs/results.md"),
        figures=Path("docs/figures/results"),
        browser=Path("runs/reproduce/browser"),
    ),
    "fast": _in_runs("reproduce-fast", 0.4, 128),
    "check": _in_runs("reproduce-check", 0.01, 16, ("ssb",)),
}
