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
            log: its output is appended here.
            environment: all of its variables.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as output:
            self._start = output.tell()
            # The session is the keeper's own: a Ctrl-C in the terminal does not reach it.
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
        """Exit status; None while it runs; 128 and the number of the signal that ended it, such as 137."""
        return self._process.poll()

    def stop(self) -> None:
        """Kill it with everything it has started, and wait for that."""
        with self._process:
            if self._process.stdin is not None:
                self._process.stdin.close()
        assert self._process.poll() is not None

    def tail(self) -> str:
        """Return the end of what it wrote since it was started."""
        with self.log.open("rb") as output:
            output.seek(self._start)
            return output.read().decode(errors="replace")[-_TAIL_CHARACTERS:]


def inherited(**changes: str) -> dict[str, str]:
    """Return this process's variables with changes; those of a distributed run are left out."""
    distributed = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    return {name: value for name, value in os.environ.items() if name not in distributed} | changes
