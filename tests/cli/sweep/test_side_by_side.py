"""Commands side by side within a budget of cores, stopped together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.sweep import side_by_side
from cli.sweep.side_by_side import Job, run_side_by_side

# Notes its start and end, so that a test sees how many ran at once.
_STAND_IN = """
import os, sys, time
from pathlib import Path
name, seconds, status = sys.argv[1:4]
log = Path(__file__).with_name("seen")
def note(word):
    with log.open("a") as file:
        file.write(f"{word} {name} {os.environ['OMP_NUM_THREADS']}\\n")
note("start")
try:
    time.sleep(float(seconds))
finally:
    note("end")
print("said", name)
sys.exit(int(status))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(_STAND_IN)
    monkeypatch.setattr(side_by_side, "TRAIN", tmp_path / "train.py")
    return tmp_path


def job(root: Path, name: str, seconds: float = 0.2, status: int = 0) -> Job:
    return Job(name, [name, str(seconds), str(status)], root / "logs" / f"{name}.log")


def test_no_more_commands_run_at_once_than_allowed_and_each_has_its_threads(root: Path) -> None:
    jobs = [job(root, name) for name in "abcde"]
    started: list[str] = []
    ended = list(run_side_by_side(jobs, at_once=2, threads=3, started=lambda job: started.append(job.name)))
    assert started == list("abcde")
    assert sorted(each.job.name for each in ended) == list("abcde")
    seen = [line.split() for line in (root / "seen").read_text().splitlines()]
    running = [0]
    for word, _, threads in seen:
        running.append(running[-1] + (1 if word == "start" else -1))
        assert threads == "3"
    assert max(running) == 2


def test_a_command_that_fails_does_not_stop_the_others_and_its_output_is_kept(root: Path) -> None:
    jobs = [job(root, "bad", 0.0, 3), job(root, "good", 0.0)]
    ended = {
        each.job.name: each.status for each in run_side_by_side(jobs, at_once=1, threads=1, started=lambda job: None)
    }
    assert ended == {"bad": 3, "good": 0}
    assert (root / "logs" / "bad.log").read_text() == "said bad\n"


_ENDLESS = """
import sys
from pathlib import Path
from cli.sweep import side_by_side
root = Path(sys.argv[1])
side_by_side.TRAIN = root / "train.py"
from tests.cli.sweep.test_side_by_side import job
for _ in side_by_side.run_side_by_side([job(root, "long", 600.0)], at_once=1, threads=1, started=lambda job: None):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_runs_before_it_ends_the_sweep(root: Path, number: signal.Signals) -> None:
    stand_in = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(143)))\n"
    (root / "train.py").write_text(stand_in + _STAND_IN)
    process = subprocess.Popen([sys.executable, "-c", _ENDLESS, str(root)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (root / "seen").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, number)
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert (root / "seen").read_text() == "start long 1\nend long 1\n"
