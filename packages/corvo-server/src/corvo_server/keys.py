"""The commands `corvo-server keys`: work on API keys without a running server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from corvo_schema import ApiKeyRequest, Role, RotateKeyRequest, format_ms
from corvo_schema.errors import details_of
from corvo_server.app import build_engine, open_store
from corvo_server.auth.caller import Caller, set_caller
from corvo_server.auth.key_text import new_key
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.settings import Settings
from corvo_server.store.keys import KeyRecord
from corvo_server.store.protocol import StoreError, UnusableStoreError
from corvo_server.store.sqlite.database import DataDirLockedError

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_OPTIONS = {
    "expires_after": "expires",
    "roles": "role",
    "max_rate": "max-rate",
    "max_waiting": "max-waiting",
    "max_bytes": "max-bytes",
}
"""Options by the name of their field, if it differs."""
_CALLER = Caller("command line", frozenset({Role.ADMIN}))


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys without a running server.

    With SQLite, stop the server first, or use `corvo keys` with it. With PostgreSQL, servers may
    run: they follow within a second.
    """


@keys.command("create")
@click.option("--name", required=True, help="Whom the key is for.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="|".join(Role),
    help="What the key may do. May be repeated.",
)
@click.option(
    "--queues",
    multiple=True,
    metavar="PATTERN",
    help="Queues that the key may see and use, e.g. 'emails.*'. May be repeated. Default: all.",
)
@click.option("--expires", help="How long the key is valid, e.g. 90d.")
@click.option("--max-rate", type=int, metavar="N", help="Requests a second. Default: no limit.")
@click.option(
    "--max-waiting",
    type=int,
    metavar="N",
    help="Jobs enqueued with the key that may wait at once. Default: no limit.",
)
@click.option(
    "--max-bytes",
    type=int,
    metavar="N",
    help="Bytes of the payloads of all stored jobs enqueued with the key. Default: no limit.",
)
@click.pass_obj
def create(
    settings: Settings,
    /,
    name: str,
    roles: tuple[str, ...],
    queues: tuple[str, ...],
    expires: str | None,
    **limits: int | None,
) -> None:
    """Make a key, and print it alone on stdout. It cannot be shown again.

    From the first key on, every call needs one.
    """
    given = {
        "name": name,
        "roles": [*roles],
        "queues": [*queues] or None,
        "expires_after": _duration(expires),
        **limits,
    }
    request = _read(ApiKeyRequest, given)

    async def work(engine: Engine) -> tuple[KeyRecord, str]:
        return await engine.keys.create(request, may_lock_out=True)

    _print_new(*_run(settings, work))


@keys.command("new")
def new() -> None:
    """Print a new key that no server knows yet. The option --bootstrap-key-file takes it."""
    click.echo(new_key().text)


@keys.command("list")
@click.pass_obj
def list_keys(settings: Settings) -> None:
    """List all keys without their secrets."""

    async def work(engine: Engine) -> tuple[list[KeyRecord], int]:
        return await engine.keys.list_all(), engine.clock()

    found, now = _run(settings, work)
    for key in found:
        queues = "all queues" if key.queues is None else ",".join(key.queues)
        rights = f"{','.join(key.roles)}  {queues}{_limits(key)}"
        click.echo(f"{key.id}  {key.name}  {rights}  {_status(key, now)}")
    click.echo(f"{len(found)} keys", err=True)


@keys.command("revoke")
@click.argument("key")
@click.option("--force", is_flag=True, help="Revoke also the last valid key of an admin.")
@click.pass_obj
def revoke(settings: Settings, key: str, *, force: bool) -> None:
    """Revoke the key with the id KEY, or all valid keys with that name."""

    async def work(engine: Engine) -> list[KeyRecord]:
        return await engine.keys.revoke(key, may_lock_out=force)

    for ended in _run(settings, work):
        click.echo(f"revoked {ended.id} ({ended.name})", err=True)


@keys.command("rotate")
@click.argument("key")
@click.option("--grace", help="How long the old key stays valid, e.g. 1d.")
@click.option("--expires", help="How long the new key is valid, e.g. 90d.")
@click.pass_obj
def rotate(settings: Settings, key: str, grace: str | None, expires: str | None) -> None:
    """Replace a key by a new one with its name and rights. Print the new one alone on stdout."""
    given = {"grace": _duration(grace), "expires_after": _duration(expires)}
    request = _read(RotateKeyRequest, given)

    async def work(engine: Engine) -> tuple[KeyRecord, str]:
        return await engine.keys.rotate(key, request)

    _print_new(*_run(settings, work))


def _print_new(record: KeyRecord, text: str) -> None:
    click.echo(text)
    click.echo(
        f"{record.id} ({record.name}) was made. Keep the key now: it cannot be shown again.",
        err=True,
    )


def _limits(key: KeyRecord) -> str:
    limits = {
        "max-rate": key.max_rate,
        "max-waiting": key.max_waiting,
        "max-bytes": key.max_bytes,
    }
    return "".join(f"  {name}={value}" for name, value in limits.items() if value is not None)


def _status(key: KeyRecord, now: int) -> str:
    if key.revoked_at is not None:
        return f"revoked at {format_ms(key.revoked_at)}"
    if not key.is_valid(now):
        return f"expired at {format_ms(key.expires_at or 0)}"
    return "valid" if key.expires_at is None else f"valid until {format_ms(key.expires_at)}"


def _run(settings: Settings, work: Callable[[Engine], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _opened(settings) as engine:
            return await work(engine)

    try:
        return asyncio.run(run())
    except DataDirLockedError as error:
        raise click.ClickException(f"{error} Or use `corvo keys` with the other server.") from error
    except (CallError, StoreError, UnusableStoreError) as error:
        raise click.ClickException(str(error)) from error


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Engine]:
    """Open the store, with an engine whose clock has been set."""
    store = open_store(settings)
    try:
        engine = build_engine(settings, store)
        set_caller(_CALLER)
        await engine.nodes.beat()
        yield engine
        await engine.nodes.leave()
    finally:
        await store.close()


def _duration(text: str | None) -> str | None:
    """Return an option as a duration of the API; a plain number is in seconds."""
    return f"{text}s" if text is not None and text.isdecimal() else text


def _read(model: type[M], given: dict[str, Any]) -> M:
    """Return the options as a request. Raise `UsageError` that names the option if invalid."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        (first, *_) = details_of(error)
        field = first.field.partition("[")[0]
        raise click.UsageError(f"--{_OPTIONS.get(field, field)}: {first.message}") from None
