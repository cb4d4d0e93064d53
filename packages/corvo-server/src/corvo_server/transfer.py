"""The command `corvo-server transfer`: copy all data from one database into another."""

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
    """Return the database URL of an option. Raise `BadParameter`, without the URL, if invalid."""
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
    """Copy all data from one database into an empty one.

    URLs are sqlite:///directory and postgresql://user@host/name. The copy contains jobs of all
    states with their failures and events, queues, schedules, batches, locks and bulk operations.
    Stop the servers of both databases first. Run an interrupted transfer again to resume it.
    Servers refuse to start on the target until all rows are copied, compared and checked. The
    source is not changed.
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
    click.echo(f"transferred to {place}: {moved or 'no rows'}", err=True)


def open_source(url: str, settings: Settings) -> Side:
    """Open the source database of a transfer. Raise `UnusableStoreError` if that fails."""
    if not is_postgres(url):
        return SqliteSide(sqlite_directory(url))
    with needs_driver():
        from corvo_server.store.postgres.transfer import PostgresSide  # noqa: PLC0415
    return PostgresSide(url, settings.database_schema)


def open_target(url: str, settings: Settings) -> Target:
    """Open the target database of a transfer; create it if needed. Raise `UnusableStoreError`."""
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
