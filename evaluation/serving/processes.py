"""Programs that run beside the evaluation and end with it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

KEEPER = Path(__file__).with_name("keeper.py")
_TAIL_CHARACTERS = 4000


class KeptProcess:
    """A command with its output in a file, in a process group that is killed when this process ends in any way."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start the command.

        Args:
            command: program and arguments.
            log: file to which its output is appended.
            environment: all environment variables of the command.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as output:
            self._start = output.tell()
            # The keeper has a session of its own, so that Ctrl-C in the terminal does not reach it.
            self._process = subprocess.Popen(
                [sys.executable, str(KEEPER), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """Exit status; None while the command runs; after a signal 128 plus its number, such as 137."""
        return self._process.poll()

    def stop(self) -> None:
        """Kill the command with all its processes, and wait until they have ended."""
        with self._process:
            if self._process.stdin is not None:
                self._process.stdin.close()
        assert self._process.poll() is not None

    def tail(self) -> str:
        """Return the end of the command's output since its start."""
        with self.log.open("rb") as output:
            output.seek(self._start)
            return output.read().decode(errors="replace")[-_TAIL_CHARACTERS:]


def inherited(**changes: str) -> dict[str, str]:
    """Return this process's environment variables with changes, without the variables of a distributed run."""
    distributed = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    return {name: value for name, value in os.environ.items() if name not in distributed} | changes
