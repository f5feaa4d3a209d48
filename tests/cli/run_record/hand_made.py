"""Records of runs that were never run."""

from collections.abc import Mapping
from pathlib import Path

from run_records import Attempt, RunRecord


def written(
    folder: Path,
    title: str = "grpo",
    seed: int | None = 0,
    *,
    command: str = "fit",
    status: str = "finished",
    reason: str | None = None,
    flags: Mapping[str, str] | None = None,
    metrics: Mapping[str, float | None] | None = None,
    started: str = "2026-01-01T00:00:00+00:00",
    checkpoint: bool = False,
    step: int = 10,
    slurm_job: str | None = None,
) -> RunRecord:
    """Write the record of a run into its folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    attempt = Attempt(started, (command, "--config=configs/tiny/grpo.yaml"), status=status, reason=reason, seconds=5.0)
    record = RunRecord(
        folder, command, title, seed, flags or {}, (attempt,), step=step, metrics=metrics or {},
        machine={"slurm_job": slurm_job},
    )  # fmt: skip
    record.write()
    if checkpoint:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "step=10.ckpt").touch()
    return record
