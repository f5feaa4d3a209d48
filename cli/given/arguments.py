"""The argument parser of commands that Lightning does not have."""

import argparse
from typing import NoReturn

from algorithms import ConfigError
from cli.given.places import program


class OneLineArguments(argparse.ArgumentParser):
    """Reports errors as ``ConfigError``."""

    def error(self, message: str) -> NoReturn:
        """Raise the message as ``ConfigError``."""
        command = self.prog.split()[-1]
        raise ConfigError(f"{command}: {message} (all options: {program()} {command} --help)")
