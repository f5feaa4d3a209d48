"""Chance as a function of position: every draw names its purpose and where in the run it happens.

A generator seeded by ``(seed, purpose, counters...)`` needs no saved state. A resumed run repeats the draws of the
run that was killed, and switching a monitor on or off changes no draw of another part.
"""

import hashlib

import torch


def position_seed(seed: int, purpose: str, *counters: int) -> int:
    """Return a 63-bit seed that depends on every argument, the same on every platform and process."""
    text = "/".join([str(seed), purpose, *map(str, counters)])
    # Not hash(): Python salts it anew in every process. Shifted to 63 bits, which a signed 64-bit integer holds.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def position_generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """Return a CPU generator for one draw.

    Args:
        seed: the run's seed.
        purpose: what is drawn, such as ``"prompt order"``; different purposes never share numbers.
        counters: where in the run: rollout index, rank, and so on.
    """
    # On the CPU: other devices draw other numbers from the same seed.
    return torch.Generator().manual_seed(position_seed(seed, purpose, *counters))
