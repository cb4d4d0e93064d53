"""`corvo server`: the command of the package `corvo-server`, if it is installed."""

import click

from corvo_cli.command import Command
from corvo_cli.exits import Failure
from corvo_cli.plugins import load, plugins


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def _missing() -> None:
    """Run a server. Requires `pip install corvo-server`."""
    raise Failure("The server is not installed. Install it with `pip install corvo-server`.")


_installed = plugins().get("server")
server: click.Command = _missing if _installed is None else load(_installed)
