"""A vLLM server started for one run, which never outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rollouts.engine import EngineError


class ServerProcess:
    """``python -m rollouts.vllm.server`` on this machine, in a process group of its own."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        """Start it and wait for its port.

        Args:
            environment: variables set besides this process's own, such as ``CUDA_VISIBLE_DEVICES``.

        Raises:
            EngineError: when it ends before it listens.
        """
        command = [sys.executable, "-m", "rollouts.vllm.server", "--port=0", "--end-with-parent"]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        # Ranks and ports of the trainer's process group are not the server's.
        own = {k: v for k, v in os.environ.items() if k not in _OF_THE_TRAINER}
        # Its input stays open as long as this process lives, and closes however it ends.
        self._process: Any = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=own | {"PYTHONPATH": path} | (environment or {}),
        )
        line = self._process.stdout.readline()
        if not line:
            raise EngineError(f"`{' '.join(command[1:])}` ended with code {self._process.wait()} before it listened.")
        self.url = f"http://127.0.0.1:{int(line)}"

    @property
    def pid(self) -> int:
        """Process id, which is its process group's too."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it with everything it started."""
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()


_OF_THE_TRAINER = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
