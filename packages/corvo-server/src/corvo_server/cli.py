"""The command line of the server. Every setting is an option and an environment variable."""

import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click
from pydantic import ValidationError

from corvo_server import logs
from corvo_server.__about__ import __version__
from corvo_server.app import check_store
from corvo_server.certificates import TlsError
from corvo_server.environment import unknown_variables
from corvo_server.first_key import FirstKeyError
from corvo_server.http_server import BindError
from corvo_server.keys import keys
from corvo_server.serve import OpenServerError, serve
from corvo_server.settings import Settings, defaults, option_of, variable_of
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite import backup
from corvo_server.transfer import transfer

_log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_OPERATOR_ERRORS = (
    BindError,
    FirstKeyError,
    OpenServerError,
    TlsError,
    UnusableStoreError,
    backup.BackupError,
)
"""Errors that the operator can fix. Their message is shown without a traceback."""


def _options_of_settings(command: F) -> F:
    """Add an option for each setting to `command`, in the order of the settings."""
    shown = defaults()
    for name, field in reversed(Settings.model_fields.items()):
        kind = field.annotation
        choices = list(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else []
        default = shown[name] or "none"
        is_flag = kind is bool
        is_list = get_origin(kind) is list
        command = click.option(
            option_of(name),
            name,
            default=None,
            multiple=is_list,
            callback=_joined if is_list else None,
            metavar=None if is_flag else "|".join(choices) or "VALUE",
            help=f"{field.description}  [{variable_of(name)}; default: {default}]",
        )(command)
    return command


def _joined(_: click.Context, __: click.Parameter, values: Sequence[str]) -> str | None:
    """Join the values of an option that was given several times, as its variable has them."""
    return ",".join(values) if values else None


@click.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@_options_of_settings
@click.version_option(__version__, prog_name="corvo-server")
@click.pass_context
def server(context: click.Context, /, **options: str | None) -> None:
    """Run a Corvo server on SQLite or PostgreSQL until SIGTERM or SIGINT.

    Each option has an environment variable, shown in brackets; the option takes precedence. The
    commands maintain the database, e.g. corvo-server --data-dir DIR backup FILE.
    """
    settings = _read_settings({name: value for name, value in options.items() if value is not None})
    context.obj = settings
    warnings = unknown_variables(os.environ, map(variable_of, Settings.model_fields))
    if context.invoked_subcommand is not None:
        # An interrupted command must not look successful, and Python runs no signal handler while
        # SQLite waits for a lock.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)
        return
    logs.configure(settings.log_level, settings.log_format)
    for warning in warnings:
        _log.warning(warning)
    with _operator_errors(settings):
        serve(settings)


@server.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--compact", is_flag=True, help="Leave out the space of deleted jobs.")
@click.pass_obj
def back_up(settings: Settings, file: Path, *, compact: bool) -> None:
    """Copy the database, as of this moment, to FILE. The server may keep running."""
    with _operator_errors(settings):
        size = backup.back_up(_sqlite_dir(settings), file, is_compact=compact)
    click.echo(f"{file}: {size:,} bytes", err=True)


@server.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing database.")
@click.pass_obj
def restore(settings: Settings, file: Path, *, force: bool) -> None:
    """Restore the database from the backup FILE. Stop the server first."""
    with _operator_errors(settings):
        backup.restore(file, _sqlite_dir(settings), may_replace=force)
    click.echo(f"{settings.sqlite_dir} has been restored from {file}", err=True)


@server.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Check the database: file, schema, values, counters, locks, batches, leases and events.

    Print one line per problem. Exit with status 1 if a problem was found.
    """
    with _operator_errors(settings):
        problems = check_store(settings)
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems)} problems" if problems else "no problems", err=True)
    sys.exit(1 if problems else 0)


@server.command()
@click.pass_obj
def vacuum(settings: Settings) -> None:
    """Return the space of deleted jobs to the file system. Stop the server first.

    This needs free space for a copy of the stored jobs.
    """
    with _operator_errors(settings):
        before, after = backup.vacuum(_sqlite_dir(settings))
    click.echo(f"{before:,} bytes before, {after:,} after", err=True)


server.add_command(transfer)
server.add_command(keys)


@contextmanager
def _operator_errors(settings: Settings) -> Iterator[None]:
    """Report errors that the operator can fix in one sentence, without a traceback."""
    try:
        yield
    except _OPERATOR_ERRORS as error:
        raise click.ClickException(str(error)) from error
    except (OSError, sqlite3.DatabaseError) as error:
        raise click.ClickException(f"Cannot use {settings.place}: {error}") from error


def _sqlite_dir(settings: Settings) -> Path:
    """Return the directory of the SQLite file. Raise `UsageError` if the database is another."""
    if settings.postgres_url is not None:
        raise click.UsageError(
            "This command works on SQLite only. For PostgreSQL, use pg_dump and pg_restore, or the "
            "backups of your provider."
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
