"""The `corvo` command: finds and loads subcommands, and writes the overview of all commands."""

import difflib
import importlib
from typing import Any

import click

from corvo_cli.__about__ import __version__
from corvo_cli.catalog import CATALOG, COMMANDS, HINTS
from corvo_cli.command import CONTEXT, shared_options, write_lines, write_options
from corvo_cli.exits import ExitCode
from corvo_cli.plugins import load, plugins
from corvo_cli.session import Session

_DESCRIPTION = """Enqueue, search, inspect and manage the jobs and queues of a Corvo server.

Data goes to stdout, everything else to stderr. An option overrides an environment variable. An
environment variable overrides the profile in the configuration file."""

_EXAMPLES = """
    corvo server                                           run a server on port 8080
    corvo enqueue emails '{"to": "ada@example.com"}'       enqueue a job and print its id
    corvo enqueue reports @report.json --wait              enqueue a job and wait until it has ended
    corvo worker app.tasks                                 run the worker of app/tasks.py
    corvo inspect job_01JD3Z9W6V7Q5X8M2N4P6R8T0B           show all details of a job
    corvo queues --output json | jq '.[].pending'          print JSON for scripts
    eval "$(corvo completion bash)"                        complete commands, queues and options
"""

_EXIT_CODES = """
    0    success
    1    an error, or a job that failed
    2    wrong usage, or an invalid value
    3    no such job, queue or other object
    4    the API key is missing, invalid or lacks the permission
    5    the state of the job does not allow the action
    6    no Corvo server answered, it is unavailable, or the outcome is unknown
    7    the timeout of --wait has passed
    130  interrupted by Ctrl-C
"""


class Root(click.Group):
    """The group of all commands: those of the catalog, and those of entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: the catalog in its order, then the entry points."""
        return [*COMMANDS, *sorted(plugins().keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command. Return None if no command has the name."""
        entry = COMMANDS.get(cmd_name)
        if entry is not None:
            module, _, attribute = entry.location.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        plugin = plugins().get(cmd_name)
        return None if plugin is None else load(plugin)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command named by the first argument. Suggest a similar name for a typo."""
        name = args[0]
        is_known = name in COMMANDS or name.startswith("-") or ctx.resilient_parsing
        if not is_known and name not in (names := self.list_commands(ctx)):
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            if name in HINTS:
                hint = f" Use `corvo {HINTS[name]}`."
            ctx.fail(f"There is no command {name!r}.{hint} Run `corvo --help` for a list.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, then close the session. Ctrl-C exits with 130 and without a message."""
        session = ctx.ensure_object(Session)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        finally:
            session.close()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections."""
        others = {name: point for name, point in plugins().items() if name not in COMMANDS}
        widest = max(map(len, COMMANDS))
        for title, section in CATALOG.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(widest), entry.summary) for name, entry in section.items()]
                )
        if others:
            with formatter.section("From other packages"):
                formatter.write_dl(
                    [(name, load(point).get_short_help_str()) for name, point in others.items()]
                )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        self.format_commands(ctx, formatter)
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        write_lines("Examples", _EXAMPLES, formatter)
        write_lines("Exit codes", _EXIT_CODES, formatter)
        formatter.write("\n`corvo COMMAND --help` shows the help of a command.\n")


corvo = Root(
    name="corvo",
    help=_DESCRIPTION,
    context_settings=CONTEXT,
    params=[*shared_options()],
    subcommand_metavar="COMMAND ...",
)
corvo = click.version_option(__version__, "-V", "--version", prog_name="corvo")(corvo)
