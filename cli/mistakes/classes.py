"""Refuses classes that do not exist or that a key does not accept."""

import traceback
import typing
from importlib import import_module

from algorithms import ConfigError
from cli.keys.chosen import class_named
from cli.keys.nearest import did_you_mean, nearest
from cli.keys.settings import Setting, alternatives, classes_in, shortest_path, subclasses


def check_class(setting: Setting, path: str, key: str, where: str, *, is_short: bool) -> None:
    """Refuse a class that the setting does not accept.

    For a user's module that cannot be imported the error names the reason.

    Args:
        setting: the setting.
        path: import path or short name.
        key: the setting's dotted key.
        where: end of the message: the file or flag.
        is_short: whether the path replaces the mapping with ``class_path``; some keys accept a text there.

    Raises:
        ConfigError: names the nearest class.
    """
    bases = classes_in(setting.annotation)
    # Only the parser knows the value of an interpolation.
    if not bases or "${" in path or (is_short and _takes_text(setting)):
        return
    known = _known(bases)
    found = class_named(path, bases)
    names = " or ".join(base.__name__ for base in bases)
    if found is None:
        if not _is_ours(path, known):
            _check_users(path, key, where)
            return
        raise ConfigError(f"{key}: there is no class {path!r}; {_meant(path, known)}{where}")
    if not any(_is_kind_of(found, base) for base in bases):
        raise ConfigError(f"{key}: {path} is no {names}; {_meant(path, known)}{where}")


def _known(bases: list[type]) -> dict[str, type]:
    """Return the classes that can be chosen, by import path, this project's first."""
    found = [each for base in bases for each in subclasses(base)]
    # Classes that no package exports are private, and base classes of Lightning do nothing by themselves.
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
    """Return a question with the class of the nearest name, else a list of all classes."""
    name = path.rpartition(".")[2]
    by_name = {owner.__name__: full for full, owner in known.items()}
    found = nearest(name, by_name)
    return f"did you mean {by_name[found]}?" if found else did_you_mean(path, known)


def _is_ours(path: str, known: dict[str, type]) -> bool:
    """Return whether a path is a short name, or begins with the name (or nearly) of a package with such classes."""
    module = path.rpartition(".")[0]
    packages = {full.partition(".")[0] for full in known}
    return not module or module.partition(".")[0] in packages or nearest(module, packages, least=0.85) is not None


def _check_users(path: str, key: str, where: str) -> None:
    """Refuse a class in a user's module that cannot be imported or lacks the class."""
    module, _, name = path.rpartition(".")
    try:
        loaded = import_module(module)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        # A syntax error contains its file and line, and a missing module has neither.
        file, line = getattr(error, "filename", None) or place.filename, getattr(error, "lineno", None) or place.lineno
        at = f" ({file}, line {line})" if "importlib" not in file else ""
        reason = str(error).splitlines()[0] if str(error) else ""
        raise ConfigError(f"{key}: {path} cannot be imported: {type(error).__name__}: {reason}{at}{where}") from None
    if not hasattr(loaded, name):
        classes = [found for found, value in vars(loaded).items() if isinstance(value, type)]
        raise ConfigError(f"{key}: there is no {name} in {module}; {did_you_mean(name, classes)}{where}")


def _is_kind_of(found: type, base: type) -> bool:
    # A class implements a protocol by having its methods; the parser checks this.
    return getattr(base, "_is_protocol", False) or issubclass(found, base)
