"""Classes that exist nowhere, or are of another kind than a key takes."""

import typing
from importlib import import_module

from algorithms import ConfigError
from cli.keys.chosen import class_named
from cli.keys.nearest import did_you_mean, nearest
from cli.keys.settings import Setting, alternatives, classes_in, shortest_path, subclasses


def check_class(setting: Setting, path: str, key: str, where: str, *, is_short: bool) -> None:
    """Refuse a class that the setting cannot take.

    A module of the user's that cannot be imported is left to the parser, which knows why.

    Args:
        setting: the setting.
        path: import path or short name.
        key: the setting's dotted key.
        where: end of the message: the file or flag.
        is_short: whether the path stands in place of the mapping with ``class_path``, where some keys take a text.

    Raises:
        ConfigError: names the nearest class.
    """
    bases = classes_in(setting.annotation)
    # The value of an interpolation is known to the parser only.
    if not bases or "${" in path or (is_short and _takes_text(setting)):
        return
    known = _known(bases)
    found = class_named(path, bases)
    names = " or ".join(base.__name__ for base in bases)
    if found is None:
        if _is_users(path, known):
            return
        raise ConfigError(f"{key}: there is no class {path!r}; {_meant(path, known)}{where}")
    if not any(_is_kind_of(found, base) for base in bases):
        raise ConfigError(f"{key}: {path} is no {names}; {_meant(path, known)}{where}")


def _known(bases: list[type]) -> dict[str, type]:
    """Return the classes that can be chosen, by import path, this project's first."""
    found = [each for base in bases for each in subclasses(base)]
    # What no package shows is no name to choose, and bases of Lightning do nothing by themselves.
    paths = {shortest_path(each): each for each in found}
    public = {
        path: each
        for path, each in paths.items()
        if path.rpartition(".")[0] != each.__module__ and not (_is_lightnings(each) and each in bases)
    }
    return dict(sorted(public.items(), key=lambda item: _is_lightnings(item[1])))


def _is_lightnings(owner: type) -> bool:
    return owner.__module__.startswith("lightning.")


def _takes_text(setting: Setting) -> bool:
    kinds = alternatives(setting.annotation)
    return any(each in (str, typing.Any) or typing.get_origin(each) is typing.Literal for each in kinds)


def _meant(path: str, known: dict[str, type]) -> str:
    """Return a question with the nearest class, by its last name, else the classes that there are."""
    name = path.rpartition(".")[2]
    by_name = {owner.__name__: full for full, owner in known.items()}
    found = nearest(name, by_name)
    return f"did you mean {by_name[found]}?" if found else did_you_mean(path, known)


def _is_users(path: str, known: dict[str, type]) -> bool:
    """Return whether a path leads to code whose import the parser should report."""
    module, _, name = path.rpartition(".")
    if not module:
        return False
    ours = {full.partition(".")[0] for full in known}
    # A module that is nearly one of ours is a mistyped one; of any other, only the import says what is wrong.
    if module.partition(".")[0] not in ours and not nearest(module, ours, least=0.85):
        return True
    try:
        return hasattr(import_module(module), name)
    except ImportError:
        return False
    except Exception:
        return True


def _is_kind_of(found: type, base: type) -> bool:
    # A protocol is met by having its methods, which the parser looks at.
    return getattr(base, "_is_protocol", False) or issubclass(found, base)
