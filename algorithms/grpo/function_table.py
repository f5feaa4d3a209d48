"""Settings that name a function: by a short name, or by the import path of a function in a user's own file.

A new ratio, surrogate, average or KL estimator is one function that takes the same arguments as the others in its
table. Either add it to the file of the others, to the table there and to the type of the names. Or define it in any
file that Python can import, and name it by its import path in the config::

    grpo: {surrogate: my_objectives.soft_gain}

Constants of such a function belong into its own file; ``functools.partial`` makes variants with other constants.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

from algorithms.errors import ConfigError

# Less exact than the types of the tables: the command line would refuse a function without annotations.
OwnFunction = Callable[..., object]
F = TypeVar("F", bound=OwnFunction)


class FunctionTable(Generic[F]):
    """The functions that one setting can name."""

    def __init__(self, key: str, functions: Mapping[str, F]) -> None:
        """Keep the functions.

        Args:
            key: the setting as a user types it, such as ``model.grpo.surrogate``.
            functions: the functions that have a short name, at least one; all of them take the same arguments.
        """
        self.key, self.functions = key, functions

    def find(self, choice: str | OwnFunction) -> F:
        """Return the function with a short name; a function is returned as it is.

        Raises:
            ConfigError: for a name that is not in the table.
        """
        if not isinstance(choice, str):
            return cast(F, choice)
        if choice not in self.functions:
            raise ConfigError(
                f"{self.key} must be one of {', '.join(self.functions)}, or the import path of a function of your own, "
                f"got {choice!r}."
            )
        return self.functions[choice]

    def check(self, choice: str | OwnFunction) -> None:
        """Raise ConfigError for an unknown name, and for a function that cannot be called like those of the table."""
        function = self.find(choice)
        expected = inspect.signature(next(iter(self.functions.values()))).parameters
        try:
            found = inspect.signature(function)
        except ValueError:
            return  # functions written in C, such as torch.square, may have no signature to compare
        try:
            # The loss passes all arguments by position, so their names are free.
            found.bind(*expected)
        except TypeError:
            raise ConfigError(
                f"{self.key} must take {len(expected)} arguments by position, ({', '.join(expected)}), got {choice!r} "
                f"with {found}."
            ) from None
