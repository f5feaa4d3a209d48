"""Warns about callbacks that wait for a metric which nothing logs: Lightning notices this only after hours."""

import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from cli.given.places import PROJECT
from cli.given.settings import value_at
from cli.keys.nearest import nearest

logger = logging.getLogger(__name__)

_PAGE = PROJECT / "docs" / "metrics.md"
# Parts of a key on the page that are placeholders for any name or number.
_PLACEHOLDER = re.compile(r"NAME|KIND|(?<=_)[NK](?![a-z])")


def warn_of_monitors(config: Mapping[str, Any]) -> None:
    """Warn of a monitored metric that the project does not log; a user's own code may log it.

    Args:
        config: the whole config, without levels named ``init_args``.
    """
    own = {f"rollout/{part}" for part in value_at(config, "model.reward.parts") or {}}
    for name, settings in (config.get("callbacks") or {}).items():
        monitor = settings.get("monitor") if isinstance(settings, Mapping) else None
        if isinstance(monitor, str) and monitor not in own and not _is_logged(monitor, keys := logged_keys()):
            meant = nearest(monitor, keys)
            logger.warning(
                "callbacks.%s.monitor is %s, which nothing of this project logs%s Unless code of yours logs it, the "
                "run ends with an error when it is first looked at.",
                name, monitor, f": did you mean {meant}?" if meant else f" ({_PAGE.name} lists all).",
            )  # fmt: skip


@cache
def logged_keys() -> Sequence[str]:
    """Return the keys on the page of metrics; none when the project is installed without its pages."""
    if not _PAGE.is_file():
        return ()
    rows = [line.split("|")[1] for line in _PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return tuple(dict.fromkeys(key for cell in rows for key in re.findall(r"`([a-z_]+/\w+)`", cell)))


def _is_logged(monitor: str, keys: Sequence[str]) -> bool:
    patterns = (r"\w+".join(map(re.escape, _PLACEHOLDER.split(key))) for key in keys)
    # Lightning's own counters are allowed, and any metric when there is no page.
    return monitor in ("step", "epoch") or not keys or any(re.fullmatch(pattern, monitor) for pattern in patterns)
