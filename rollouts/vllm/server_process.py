"""A vLLM server that is started for one run and never outlives the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from rollouts.engine import EngineError
from rollouts.vllm.guard.run_token import TOKEN_VARIABLE, new_token

_TRAINER_VARIABLES = {
    "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"
}  # fmt: skip


class ServerProcess:
    """``python -m rollouts.vllm.server`` on this machine, in a process group of its own."""

    def __init__(self, environment: dict[str, str] | None = None, *, allows_transfer: bool = False) -> None:
        """Start the process, and block until it listens on its port.

        Args:
            environment: variables set besides this process's own, such as ``CUDA_VISIBLE_DEVICES``.
            allows_transfer: whether weights may come by vLLM's weight transfer.

        Raises:
            EngineError: when it ends before it listens.
        """
        command = [sys.executable, "-m", "rollouts.vllm.server", "--port=0", "--end-with-parent"]
        command += ["--allow-weight-transfer"] if allows_transfer else []
        # The working folder may be another one than the project's.
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        # vLLM would take the rank and the port of the trainer's process group for its own.
        inherited = {k: v for k, v in os.environ.items() if k not in _TRAINER_VARIABLES}
        self.token = new_token()
        """What every request to the server must show."""

        # Through the environment, which only this user can read; command lines are open to all.
        secret = {TOKEN_VARIABLE: self.token}
        # Standard input stays open while this process lives, and closes when the process ends in any way: then the
        # server ends too. A session of its own makes a process group that can be killed together with vLLM's workers.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=inherited | {"PYTHONPATH": path} | (environment or {}) | secret,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"`{' '.join(command[1:])}` ended with code {self._process.wait()} before it listened.")
        self.url = f"http://127.0.0.1:{int(line)}"

    @property
    def pid(self) -> int:
        """Process id, and the id of its process group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Kill the server with everything it started, and close the pipes to it."""
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
        # Leaving the context waits for the process and closes both pipes.
        with self._process:
            pass
