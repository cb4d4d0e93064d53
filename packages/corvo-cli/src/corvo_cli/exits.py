"""How a command ends: the exit codes that scripts rely on, and the failure that carries one."""

from collections.abc import Sequence
from enum import IntEnum
from typing import IO, Any

import click

from corvo_cli.human import printable


class ExitCode(IntEnum):
    """What the exit status of `corvo` means. Stable: scripts branch on it."""

    OK = 0
    ERROR = 1
    """It did not work, or a job that was waited for did not complete."""
    USAGE = 2
    """The command line, or a value in it, is wrong; also when it is the server that says so."""
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    """The state of the job, or of another with its unique key, does not allow it."""
    UNREACHABLE = 6
    """No Corvo server answered, or it cannot work at the moment."""
    TIMED_OUT = 7
    """What was waited for has not happened in time."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Failure(click.ClickException):
    """Ends the command: one sentence and lines of details on stderr, and an exit code."""

    def __init__(
        self, message: str, code: ExitCode = ExitCode.ERROR, details: Sequence[str] = ()
    ) -> None:
        super().__init__(printable(message))
        self.exit_code: int = code  # type: ignore[misc]  # click reads it there
        self.details = [printable(detail) for detail in details]

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message; under it, indented, the details."""
        click.echo(f"Error: {self.message}", file=file, err=True)
        for detail in self.details:
            click.echo(f"  {detail}", file=file, err=True)
