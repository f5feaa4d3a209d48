"""Process-wide state that vLLM changes and the learner needs unchanged."""

import gc
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def restored_process_state() -> Iterator[None]:
    """Restore environment variables, number of threads and random states when the context ends; unfreeze garbage.

    Used while vLLM builds a model.
    """
    environment, set_threads, threads = dict(os.environ), torch.set_num_threads, torch.get_num_threads()
    try:
        with restored_random_states():
            yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        # The function itself is restored first, because vLLM may have replaced it.
        torch.set_num_threads = set_threads
        torch.set_num_threads(threads)
        # vLLM freezes all objects that exist after building, and frozen objects are never collected.
        gc.unfreeze()


@contextmanager
def restored_random_states() -> Iterator[None]:
    """Restore the global random states of Python, NumPy and torch (CPU and all GPUs) when the context ends."""
    # NumPy's global generator, from which ``np.random.rand`` draws.
    states = random.getstate(), np.random.get_state(legacy=True), torch.get_rng_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        torch.cuda.set_rng_state_all(cuda)
