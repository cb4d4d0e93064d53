"""The class of all commands: help that reads like a manual, and the options that all share."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

import corvo_client
from corvo_cli.failures import failure_of
from corvo_cli.session import Session
from corvo_cli.settings import profile_names
from corvo_cli.show.output import Format

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _remember(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Note a shared option. What comes after the command's name is the last word."""
    if value is not None:
        setattr(context.ensure_object(Session).flags, str(parameter.name), value)


def _complete_profile(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    try:
        names = profile_names(context.ensure_object(Session).environment)
    except click.UsageError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class SharedOption(click.Option):
    """An option that every command has, and that may also stand before the command."""


def shared_options() -> list[click.Parameter]:
    """Return the options that every command has."""
    return [
        SharedOption(
            ["--server"],
            metavar="URL",
            help="The server to talk to.  [CORVO_SERVER; default: http://localhost:8080]",
            expose_value=False,
            callback=_remember,
        ),
        SharedOption(
            ["--api-key"],
            metavar="KEY",
            help="The key to show to it. In the environment it is out of sight.  [CORVO_API_KEY]",
            expose_value=False,
            callback=_remember,
        ),
        SharedOption(
            ["--profile"],
            metavar="NAME",
            help="The profile of the configuration file to use.  [CORVO_PROFILE]",
            expose_value=False,
            callback=_remember,
            shell_complete=_complete_profile,
        ),
        SharedOption(
            ["-o", "--output"],
            type=click.Choice([known.value for known in Format]),
            help="How to print data: for people, or the server's own JSON.  "
            "[CORVO_OUTPUT; default: table]",
            expose_value=False,
            callback=_remember,
        ),
    ]


class Command(click.Command):
    """A command with the shared options, and with examples at the end of its help."""

    def __init__(
        self,
        name: str | None,
        *,
        examples: str = "",
        params: list[click.Parameter] | None = None,
        context_settings: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            name,
            params=[*(params or []), *shared_options()],
            context_settings={**CONTEXT, **(context_settings or {})},
            **more,
        )
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What the client raises becomes a sentence and an exit code."""
        with explained(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, the shared ones under a title of their own."""
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_lines("Examples", self.examples, formatter)


class Group(Command, click.Group):
    """A command with subcommands. They have the shared options; the group itself has them, too."""

    def __init__(self, name: str | None, **more: Any) -> None:
        super().__init__(name, subcommand_metavar="COMMAND ...", **more)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


@contextlib.contextmanager
def explained(ctx: click.Context) -> Iterator[None]:
    """Turn what the client raises into a sentence and an exit code."""
    try:
        yield
    except corvo_client.CorvoError as error:
        server = ctx.ensure_object(Session).settings.server
        raise failure_of(error, server=server, parameters=names_of(ctx.command.params)) from error


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's options in two sections: its own, and the shared ones."""
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, click.Option):
            (shared if isinstance(parameter, SharedOption) else own).append(record)
    for title, records in (("Options", own), ("Connection and output", shared)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def write_lines(title: str, text: str, formatter: click.HelpFormatter) -> None:
    """Write lines as they are under a title; nothing when there are none."""
    lines = text.strip("\n").splitlines()
    if lines:
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        with formatter.section(title):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line[indent:]}".rstrip() + "\n")


def names_of(parameters: Sequence[click.Parameter]) -> dict[str, str]:
    """Return how each parameter is written on the command line, by its name in Python."""
    return {
        str(parameter.name): (
            max(parameter.opts, key=len)
            if isinstance(parameter, click.Option)
            else parameter.human_readable_name
        )
        for parameter in parameters
    }
