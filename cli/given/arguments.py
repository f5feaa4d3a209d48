"""Command lines of the commands that are not Lightning's."""

import argparse
from typing import NoReturn

from algorithms import ConfigError


class OneLineArguments(argparse.ArgumentParser):
    """Reports what is wrong as ``ConfigError``."""

    def error(self, message: str) -> NoReturn:
        """Raise the message."""
        raise ConfigError(
            f"{self.prog.split()[-1]}: {message} (all options: python train.py {self.prog.split()[-1]} --help)"
        )
