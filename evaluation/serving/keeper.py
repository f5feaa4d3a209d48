"""Runs a command that never outlives its parent process: ``python keeper.py COMMAND...``.

The keeper's standard input is a pipe that only its parent can write to, so the pipe closes when the parent ends in any
way, also by SIGKILL. Then, and when the command itself ends, all processes of the command are killed. Only the standard
library is imported, so any environment's interpreter can run this file.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

POLL_SECONDS = 0.2


def main() -> int:
    """Run the command and return its exit status."""
    # Ctrl-C reaches the parent too, which decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A session of its own makes a process group, which can be killed as a whole.
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: kill_group(command.pid))
    try:
        while command.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
            # Standard input that is readable without data has been closed.
            if readable and not os.read(sys.stdin.fileno(), 4096):
                break
    finally:
        kill_group(command.pid)
    status = command.wait()
    # As in a shell, 128 plus the number of the signal, because an exit status cannot be negative.
    return 128 - status if status < 0 else status


def kill_group(group: int) -> None:
    """Kill a process group and wait until all its processes have ended, at most ten seconds."""
    for _ in range(50):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            # On some systems the remaining process is a zombie of this keeper.
            return
        time.sleep(POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(group, os.WNOHANG)


if __name__ == "__main__":
    sys.exit(main())
