"""Settings that name a function: by a short name, or by the import path of a function in a user's own file.

A new ratio, surrogate, average or KL estimator is one function with the arguments of the others in its table. It can
be defined beside them, with one more line in the table. Or it can be defined in any file that Python can import::

    grpo: {surrogate: my_objectives.soft_gain}

Constants that only this function has are defined in its own file; ``functools.partial`` makes variants with other
constants.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

from algorithms.errors import ConfigError

F = TypeVar("F", bound=Callable[..., object])


class FunctionTable(Generic[F]):
    """The functions that one setting can name."""

    def __init__(self, key: str, functions: Mapping[str, F]) -> None:
        """Keep the functions.

        Args:
            key: the setting as a user types it, such as ``model.grpo.surrogate``.
            functions: the functions that have a short name, at least one; all of them take the same arguments.
        """
        self.key, self.functions = key, functions

    def find(self, name: str) -> F:
        """Return the function with a short name, or import it.

        Args:
            name: one of the short names, or an import path such as ``my_objectives.soft_gain``.

        Raises:
            ConfigError: No short name and not importable, or a function that takes other arguments.
        """
        # Short names come first, so that no file of a user can replace a function of the paper.
        return self.functions[name] if name in self.functions else self._imported(name)

    def _imported(self, path: str) -> F:
        module, _, name = path.rpartition(".")
        if not module:
            raise self._error(path)
        try:
            function = vars(import_module(module)).get(name)
        except ImportError as error:
            raise self._error(path, f" (cannot be imported: {error})") from None
        if not callable(function):
            raise self._error(path, f" ({module} defines no function {name})")
        self._check_arguments(path, function)
        return cast(F, function)

    def _check_arguments(self, path: str, function: Callable[..., object]) -> None:
        expected = inspect.signature(next(iter(self.functions.values()))).parameters
        try:
            # The loss passes all arguments by position, so their names are free.
            inspect.signature(function).bind(*expected)
        except TypeError:
            raise self._error(path, f" (must take {len(expected)} arguments: {', '.join(expected)})") from None
        except ValueError:
            return  # functions written in C, such as torch.square, have no signature that could be compared

    def _error(self, name: str, cause: str = "") -> ConfigError:
        return ConfigError(
            f"{self.key} must be one of {', '.join(self.functions)}, or the import path of a function of your own such "
            f"as my_objectives.my_function, got {name!r}{cause}."
        )
