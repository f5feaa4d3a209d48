"""A parser whose errors are one line."""

import sys
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from cli.given.places import program
from cli.mistakes.check import CommandLine


class OneLineParser(LightningArgumentParser):
    """Prints an error in one line, without the usage."""

    command_line: CommandLine | None = None
    """The command line that is parsed."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Exit with the message, or raise it when a caller has set ``exit_on_error`` to False."""
        if not self.exit_on_error:
            return super().error(message, ex)
        text = self.command_line.in_one_line(message) if self.command_line else message
        sys.stderr.write(f"error: {text}\n(what there is to set: {program()} fit --help)\n")
        raise SystemExit(2)
