"""`corvo server`: the command of the package `corvo-server`, when that is installed."""

import click

from corvo_cli.command import Command
from corvo_cli.exits import Failure
from corvo_cli.plugins import load, plugins


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def _missing() -> None:
    """Run a server. It is not installed here: `pip install corvo-server`."""
    raise Failure("The server is not installed here. Get it with `pip install corvo-server`.")


_installed = plugins().get("server")
server: click.Command = _missing if _installed is None else load(_installed)
