"""What to do when the Hugging Face hub cannot be reached: use the cache at once, without repeated attempts.

By default huggingface_hub asks six times within a minute for each file that is not in the cache.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from huggingface_hub import constants
from huggingface_hub.utils import get_session

_SECONDS = 3.0


@contextmanager
def offline_where_silent() -> Iterator[None]:
    """Be in huggingface_hub's offline mode while the context is open, if the hub does not answer."""
    if constants.HF_HUB_OFFLINE or hub_answers():
        yield
        return
    # The variable of the same name is read once, when the package is imported.
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


@cache
def hub_answers() -> bool:
    """Return whether the hub, or the mirror in ``HF_ENDPOINT``, answers within three seconds, with any status."""
    answers: list[int] = []

    def ask() -> None:
        # The session knows the user's proxies and certificates. What it raises depends on its version.
        with suppress(Exception):
            answers.append(get_session().head(constants.ENDPOINT, timeout=_SECONDS).status_code)

    # A thread, because looking up a name has no time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return bool(answers)
