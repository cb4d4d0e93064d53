"""The base classes of all commands: shared options, error handling, and the layout of the help."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

import corvo_client
from corvo_cli.failures import failure_of
from corvo_cli.parameters import Choice
from corvo_cli.session import Session
from corvo_cli.settings import profile_names
from corvo_cli.show.output import Format

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _store_flag(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Store the value of a shared option. The value after the command's name wins."""
    if value is not None:
        setattr(context.ensure_object(Session).flags, str(parameter.name), value)


def _store_key(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Store an API key, and warn that it can be seen."""
    if value is not None:
        click.echo(
            "Warning: other users of this machine can see --api-key in its list of processes. Use "
            "CORVO_API_KEY or --api-key-file.",
            err=True,
        )
    _store_flag(context, parameter, value)


def _complete_profile(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem[str]]":
    try:
        names = profile_names(context.ensure_object(Session).environment)
    except click.UsageError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class SharedOption(click.Option):
    """An option that every command accepts, before or after the name of the command."""


def shared_options() -> list[click.Parameter]:
    """Return the options that every command accepts."""
    return [
        SharedOption(
            ["--server"],
            metavar="URL",
            help="The URL of the server.  [CORVO_SERVER; default: http://localhost:8080]",
            expose_value=False,
            callback=_store_flag,
        ),
        SharedOption(
            ["--api-key"],
            metavar="KEY",
            help="The API key for the server. Prefer the environment variable or a file: other "
            "users of the machine can see options.  [CORVO_API_KEY]",
            expose_value=False,
            callback=_store_key,
        ),
        SharedOption(
            ["--api-key-file"],
            metavar="FILE",
            help="The file with the API key for the server.  [CORVO_API_KEY_FILE]",
            expose_value=False,
            callback=_store_flag,
        ),
        SharedOption(
            ["--ca"],
            metavar="FILE",
            help="The authorities that sign the TLS certificate of the server, in PEM.  "
            "[CORVO_CA_FILE; default: those of httpx]",
            expose_value=False,
            callback=_store_flag,
        ),
        SharedOption(
            ["--codec"],
            metavar="FILE",
            help="The file with the keys of encrypted jobs; see `corvo codec`.  "
            "[CORVO_CODEC_KEYS_FILE; default: no encryption]",
            expose_value=False,
            callback=_store_flag,
        ),
        SharedOption(
            ["--profile"],
            metavar="NAME",
            help="The profile of the configuration file that provides settings.  [CORVO_PROFILE]",
            expose_value=False,
            callback=_store_flag,
            shell_complete=_complete_profile,
        ),
        SharedOption(
            ["-o", "--output"],
            type=Choice([known.value for known in Format]),
            help="The format of the output: a table for people, the server's JSON, or JSON with "
            "one element of a list per line.  [CORVO_OUTPUT; default: table]",
            expose_value=False,
            callback=_store_flag,
        ),
    ]


class Command(click.Command):
    """A command with the shared options, and examples at the end of its help."""

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
        """Run the command. Raise `Failure` for an error of the client."""
        with client_errors_as_failures(ctx):
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the shared options in a separate section."""
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_lines("Examples", self.examples, formatter)


class Group(Command, click.Group):
    """A command with subcommands. The group and its subcommands accept the shared options."""

    def __init__(self, name: str | None, **more: Any) -> None:
        super().__init__(name, subcommand_metavar="COMMAND ...", **more)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


@contextlib.contextmanager
def client_errors_as_failures(ctx: click.Context) -> Iterator[None]:
    """Raise a `Failure` with a message and an exit code for an error of the client."""
    try:
        yield
    except corvo_client.CorvoError as error:
        settings = ctx.ensure_object(Session).settings
        parameters = names_of(ctx.command.params)
        raise failure_of(error, settings=settings, parameters=parameters) from error


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's options in two sections: its own options, then the shared options."""
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
    """Write a section of unwrapped lines. Write nothing if the text is empty."""
    lines = text.strip("\n").splitlines()
    if lines:
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        with formatter.section(title):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line[indent:]}".rstrip() + "\n")


def names_of(parameters: Sequence[click.Parameter]) -> dict[str, str]:
    """Return the command-line name of each parameter, by its Python name."""
    return {
        str(parameter.name): (
            max(parameter.opts, key=len)
            if isinstance(parameter, click.Option)
            else parameter.human_readable_name
        )
        for parameter in parameters
    }
