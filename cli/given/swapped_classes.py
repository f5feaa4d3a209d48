"""When a class replaces another one, it takes over none of its settings.

jsonargparse 4.53 keeps old settings whose names the new class has too: a ``recovery`` for one strategy would silently
become the ``recovery`` of the next strategy.
"""

from typing import Any

from jsonargparse import _typehints as typehints

_NAME = "discard_init_args_on_class_path_change"


def take_nothing_over() -> None:
    """Let the parser drop all settings of a class that a flag or a later config file replaces by another class."""
    # jsonargparse has no setting for this; it calls this function for every change of a class, at any depth.
    assert hasattr(typehints, _NAME), f"jsonargparse has no {_NAME} any more"
    setattr(typehints, _NAME, _drop_all)


def _drop_all(parser: Any, old: Any, new: Any) -> None:
    """Empty the settings of the old class in place, if the new class is another one."""
    if old and "init_args" in old and old["class_path"] != new["class_path"]:
        settings = old["init_args"]
        for name in list(vars(settings) if not isinstance(settings, dict) else settings):
            settings.pop(name)
