"""The exit codes of `corvo`, and the exception that ends a command with one of them."""

from collections.abc import Sequence
from enum import IntEnum
from typing import IO, Any

import click

from corvo_cli.human import printable


class ExitCode(IntEnum):
    """The exit codes of `corvo`. The numbers are stable because scripts depend on them."""

    OK = 0
    ERROR = 1
    """The command failed, or the job of `--wait` did not complete."""
    USAGE = 2
    """The command line has an error or an invalid value, found by the client or the server."""
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    """The state of the job, or of another job with its unique key, does not allow the action."""
    UNREACHABLE = 6
    """No Corvo server answered, it is unavailable, or it does not know the outcome of the call."""
    TIMED_OUT = 7
    """The job of `--wait` has not ended within the timeout."""
    INTERRUPTED = 130
    """Ctrl-C ended the command."""


class Failure(click.ClickException):
    """An error that ends the command. The message and its details go to stderr."""

    def __init__(
        self, message: str, code: ExitCode = ExitCode.ERROR, details: Sequence[str] = ()
    ) -> None:
        super().__init__(printable(message))
        self.exit_code: int = code  # type: ignore[misc]  # click's name for it
        self.details = [printable(detail) for detail in details]

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message, then the details on indented lines."""
        click.echo(f"Error: {self.message}", file=file, err=True)
        for detail in self.details:
            click.echo(f"  {detail}", file=file, err=True)
