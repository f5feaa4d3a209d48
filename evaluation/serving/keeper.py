"""Runs a command that never outlives whoever started it: ``python keeper.py COMMAND...``.

The keeper's standard input is a pipe that only its parent writes to, so it closes however the parent ends, by SIGKILL
too. Then, and when the command itself ends, everything that the command has started is killed. Standard library only:
it runs under the interpreter of any environment.
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
    # Ctrl-C reaches the parent, which decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A session of its own is a process group that can be killed with all that it has started.
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: kill_group(command.pid))
    try:
        while command.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
            # Readable without data is the end of the pipe.
            if readable and not os.read(sys.stdin.fileno(), 4096):
                break
    finally:
        kill_group(command.pid)
    status = command.wait()
    # As a shell tells a signal: an exit status has no sign.
    return 128 - status if status < 0 else status


def kill_group(group: int) -> None:
    """Kill a process group and wait until nothing of it is left, at most ten seconds."""
    for _ in range(50):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            # What is left is a zombie of this very keeper on some systems.
            return
        time.sleep(POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(group, os.WNOHANG)


if __name__ == "__main__":
    sys.exit(main())
