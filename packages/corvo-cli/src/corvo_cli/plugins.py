"""Commands that other packages register as entry points."""

from typing import TYPE_CHECKING

import click

from corvo_cli.exits import ExitCode, Failure

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "corvo.commands"


def plugins() -> "dict[str, EntryPoint]":
    """Return the registered commands by name, without importing them."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to load

    return {point.name: point for point in entry_points(group=GROUP)}


def load(point: "EntryPoint") -> click.Command:
    """Import a command. Raises `Failure` if the entry point names something else."""
    command = point.load()
    if not isinstance(command, click.Command):
        raise Failure(
            f"The entry point {point.name} of {GROUP} names {point.value}, which is not a command "
            "of click. Update or remove the package that has it.",
            ExitCode.ERROR,
        )
    return command
