"""Command lines of the commands that are not Lightning's."""

import argparse
from typing import NoReturn

from algorithms import ConfigError
from cli.given.places import program


class OneLineArguments(argparse.ArgumentParser):
    """Reports what is wrong as ``ConfigError``."""

    def error(self, message: str) -> NoReturn:
        """Raise the message."""
        command = self.prog.split()[-1]
        raise ConfigError(f"{command}: {message} (all options: {program()} {command} --help)")
