"""The job array of a sweep, run by a shell in place of SLURM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.sweep import slurm
from cli.sweep.slurm import job_array

COMMANDS = [["fit", "--config", "a b.yaml", "--x=[1, 2]"], ["fit", '--y={"z": "it\'s $HOME"}', "--ckpt_path=last"]]


def test_each_task_runs_its_own_command_word_by_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "train.py"
    stand_in.write_text("import os, sys\nprint([*sys.argv[1:], os.environ['OMP_NUM_THREADS']])\n")
    monkeypatch.setattr(slurm, "TRAIN", stand_in)
    file = tmp_path / "array.sh"
    text = job_array(COMMANDS, name="sweep-grpo", file=file, log_folder=tmp_path / "logs", at_once=2, threads=3)
    file.write_text(text)
    assert "#SBATCH --array=0-1%2" in text
    assert "#SBATCH --cpus-per-task=3" in text
    assert f"#SBATCH --output={tmp_path}/logs/%a.log" in text
    for number, command in enumerate(COMMANDS):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "5"}
        done = subprocess.run(["bash", str(file)], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{[*command, '5']}\n"
    assert sys.executable in text


def test_without_a_limit_all_tasks_may_run_at_once(tmp_path: Path) -> None:
    text = job_array(COMMANDS, name="n", file=tmp_path / "f", log_folder=tmp_path, at_once=None, threads=1)
    assert "#SBATCH --array=0-1\n" in text
