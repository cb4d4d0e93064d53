"""`corvo-server transfer`: move an installation from one database into another."""

import sqlite3
import sys
from contextlib import closing

import click

from corvo_server.app import needs_driver
from corvo_server.settings import Settings
from corvo_server.store.database_url import is_postgres, sqlite_directory
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.sqlite.transfer import SqliteSide, SqliteTarget
from corvo_server.store.transfer import Side, Target, Transfer


def check_url(_: click.Context, __: click.Parameter, url: str) -> str:
    """Make sure that an option is the URL of a database, without repeating it."""
    try:
        is_postgres(url)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return url


@click.command()
@click.option("--from", "source_url", required=True, metavar="URL", callback=check_url)
@click.option("--to", "target_url", required=True, metavar="URL", callback=check_url)
@click.pass_obj
def transfer(settings: Settings, source_url: str, target_url: str) -> None:
    """Move everything from one database into an empty one.

    URLs are sqlite:///directory and postgresql://user@host/name. Jobs of all states go, with their
    failures and events, queues, schedules, batches, locks and bulk operations. No server may run on
    either meanwhile. What was interrupted goes on where it was when it is run again; servers refuse
    the target until all is there, has been compared row by row and checked. The source stays as it
    is.
    """
    try:
        with (
            closing(open_source(source_url, settings)) as source,
            closing(open_target(target_url, settings)) as target,
        ):
            rows = _run(source, target)
            place = target.place
    except (UnusableStoreError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    moved = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items() if count
    )
    click.echo(f"{place} has it all: {moved or 'nothing at all'}", err=True)


def open_source(url: str, settings: Settings) -> Side:
    """What a URL names, to be read. Raises `UnusableStoreError`."""
    if not is_postgres(url):
        return SqliteSide(sqlite_directory(url))
    with needs_driver():
        from corvo_server.store.postgres.transfer import PostgresSide  # noqa: PLC0415
    return PostgresSide(url, settings.database_schema)


def open_target(url: str, settings: Settings) -> Target:
    """What a URL names, to be written; made if need be. Raises `UnusableStoreError`."""
    if not is_postgres(url):
        return SqliteTarget(sqlite_directory(url))
    with needs_driver():
        from corvo_server.store.postgres.transfer import PostgresTarget  # noqa: PLC0415
    return PostgresTarget(url, settings.database_schema)


def _run(source: Side, target: Target) -> dict[str, int]:
    total = 2 * sum(source.count().values())
    with click.progressbar(
        length=total, file=sys.stderr, show_pos=True, item_show_func=lambda step: step or ""
    ) as bar:
        return Transfer(source, target, lambda step, rows: bar.update(rows, step)).run()
