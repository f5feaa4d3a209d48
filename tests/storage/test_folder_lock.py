"""One process at a time writes to a locked folder, and a killed one leaves no lock."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage import FolderInUse, folder_lock

_HOLDS = """
import os, sys, time
from pathlib import Path
from storage import folder_lock
with folder_lock(Path(sys.argv[1])):
    if os.fork() == 0:
        time.sleep(30)
    print("locked", flush=True)
    time.sleep(30)
"""


def test_a_second_process_is_refused_until_the_first_is_killed_even_if_its_child_lives(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(FolderInUse, match=rf"in use by process {holder.pid} on "), folder_lock(folder):
            pass
        holder.kill()
        holder.wait()
        with folder_lock(folder):
            pass
    finally:
        import os

        os.killpg(holder.pid, signal.SIGKILL)


def test_one_process_may_lock_a_folder_again_after_it_has_released_it(tmp_path: Path) -> None:
    for _ in range(2):
        with folder_lock(tmp_path):
            assert (tmp_path / "run.lock").read_text().startswith("process ")
