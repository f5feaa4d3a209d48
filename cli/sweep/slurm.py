"""A sweep as a job array of SLURM: one task for each run."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.sweep.side_by_side import TRAIN

_HEAD = """\
#!/bin/bash
# {runs} runs of one sweep, one for each task of the array. Start it with: sbatch {file}
# A task that was stopped goes on from its last checkpoint when it is started again: sbatch --array=NUMBERS {file}
# Add what your cluster asks for, such as --partition, --account, --gres=gpu:1 and --time.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{limit}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={threads}
#SBATCH --output={log}
# SIGTERM two minutes before the time is up, so that the run ends with its record whole.
#SBATCH --signal=B:TERM@120
set -u
cd {folder}
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-{threads}}}"
case "$SLURM_ARRAY_TASK_ID" in
"""


def job_array(
    commands: Sequence[Sequence[str]], *, name: str, file: Path, log_folder: Path, at_once: int | None, threads: int
) -> str:
    """Return the batch script.

    Args:
        commands: the command lines behind ``train.py``.
        name: name of the job.
        file: path of the script.
        log_folder: folder for the output of each task; it must exist when the job starts.
        at_once: most tasks at the same time; None for no limit.
        threads: cores of a task.
    """
    head = _HEAD.format(
        runs=len(commands), file=shlex.quote(str(file)), name=name, last=len(commands) - 1,
        limit=f"%{at_once}" if at_once else "", threads=threads, log=log_folder.absolute() / "%a.log",
        folder=shlex.quote(str(Path.cwd())),
    )  # fmt: skip
    cases = [f"{number}) run=({shlex.join(command)}) ;;" for number, command in enumerate(commands)]
    # exec replaces the batch script's process by the run, so that signals reach the run.
    return head + "\n".join(
        [*cases, "esac", f'exec {shlex.quote(sys.executable)} {shlex.quote(str(TRAIN))} "${{run[@]}}"', ""]
    )
