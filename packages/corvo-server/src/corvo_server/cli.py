"""The command line of the server: every setting is an option and a variable of the environment."""

import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from corvo_server import logs
from corvo_server.__about__ import __version__
from corvo_server.app import check_store
from corvo_server.http_server import BindError
from corvo_server.serve import serve
from corvo_server.settings import Settings, defaults, option_of, variable_of
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite import backup
from corvo_server.transfer import transfer

F = TypeVar("F", bound=Callable[..., Any])

_SPEAKING = (
    BindError,
    UnusableStoreError,
    backup.BackupError,
)
"""Errors whose text is a sentence for the operator."""


def _options_of_settings(command: F) -> F:
    """An option for each setting, in their order."""
    shown = defaults()
    for name, field in reversed(Settings.model_fields.items()):
        kind = field.annotation
        choices = list(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else []
        default = shown[name] or "none"
        is_flag = kind is bool
        command = click.option(
            option_of(name),
            name,
            default=None,
            metavar=None if is_flag else "|".join(choices) or "VALUE",
            help=f"{field.description}  [{variable_of(name)}; default: {default}]",
        )(command)
    return command


@click.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@_options_of_settings
@click.version_option(__version__, prog_name="corvo-server")
@click.pass_context
def server(context: click.Context, /, **options: str | None) -> None:
    """Run a Corvo server on one SQLite file, or on PostgreSQL, until SIGTERM or SIGINT.

    Every option can also be given in the environment, under the name in brackets; an option wins.
    The commands look after the database: corvo-server --data-dir DIR backup FILE.
    """
    settings = _read_settings({name: value for name, value in options.items() if value is not None})
    context.obj = settings
    if context.invoked_subcommand is not None:
        # What is not done because of a signal must not look as if it were; and while SQLite waits
        # for a lock, no handler of Python's would ever run.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return
    logs.configure(settings.log_level, settings.log_format)
    with _told(settings):
        serve(settings)


@server.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def back_up(settings: Settings, file: Path) -> None:
    """Copy the database, as of this moment, to FILE. A running server goes on meanwhile."""
    with _told(settings):
        size = backup.back_up(_file_of(settings), file)
    click.echo(f"{file}: {size:,} bytes", err=True)


@server.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the database that is there.")
@click.pass_obj
def restore(settings: Settings, file: Path, *, force: bool) -> None:
    """Put the backup FILE in the place of the database. The server must not be running."""
    with _told(settings):
        backup.restore(file, _file_of(settings), may_replace=force)
    click.echo(f"{settings.sqlite_dir} has been restored from {file}", err=True)


@server.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Tell whether the database is sound: the file, counters, locks, batches, leases.

    Prints a line for each problem and exits with 1 if there is any.
    """
    with _told(settings):
        problems = check_store(settings)
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems)} problems" if problems else "no problems", err=True)
    sys.exit(1 if problems else 0)


@server.command()
@click.pass_obj
def vacuum(settings: Settings) -> None:
    """Give the space of removed jobs back to the disk. The server must not be running."""
    with _told(settings):
        before, after = backup.vacuum(_file_of(settings))
    click.echo(f"{before:,} bytes before, {after:,} after", err=True)


server.add_command(transfer)


@contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """What an operator can mend is told in a sentence, without a traceback."""
    try:
        yield
    except _SPEAKING as error:
        raise click.ClickException(str(error)) from error
    except (OSError, sqlite3.DatabaseError) as error:
        raise click.ClickException(f"Cannot use {settings.place}: {error}") from error


def _file_of(settings: Settings) -> Path:
    """The directory with the SQLite file, for commands that are about that."""
    if settings.postgres_url is not None:
        raise click.UsageError(
            "This command is for a SQLite file. PostgreSQL brings its own tools: pg_dump and "
            "pg_restore, or the backups of whoever runs it for you."
        )
    return settings.sqlite_dir


def _read_settings(options: dict[str, Any]) -> Settings:
    try:
        return Settings(**options)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        message = problem["msg"].removeprefix("Value error, ")
        source = option_of(name) if name in options else variable_of(name)
        raise click.UsageError(f"{source}: {message}") from error
