"""A class that is put in the place of another one takes none of the other's settings over.

jsonargparse 4.53 keeps the old settings that the new class happens to have too, so that a ``recovery`` chosen for one
strategy would be the ``recovery`` of the next without anyone having said so.
"""

from typing import Any

from jsonargparse import _typehints as typehints

_NAME = "discard_init_args_on_class_path_change"


def take_nothing_over() -> None:
    """Let the parser drop all settings of a class that a flag or a later config file replaces by another class."""
    # There is no setting for it; every change of a class, at any depth, goes through this function.
    assert hasattr(typehints, _NAME), f"jsonargparse has no {_NAME} any more"
    setattr(typehints, _NAME, _drop_all)


def _drop_all(parser: Any, old: Any, new: Any) -> None:
    """Empty the settings of the old class in place, where the new class is another one."""
    if old and "init_args" in old and old["class_path"] != new["class_path"]:
        settings = old["init_args"]
        for name in list(vars(settings) if not isinstance(settings, dict) else settings):
            settings.pop(name)
