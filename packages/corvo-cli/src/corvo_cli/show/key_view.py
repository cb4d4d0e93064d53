"""The table of API keys, and the rights of one key."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age
from corvo_cli.show.views import Cell, Column, Fields, Table, View, state

if TYPE_CHECKING:
    from corvo_client import ApiKey, AuthStatus


def keys_view(keys: "Sequence[ApiKey]", now: datetime) -> View:
    """Return a table with a row for each key."""
    columns = [
        Column("KEY"),
        Column("NAME"),
        Column("STATUS"),
        Column("ROLES"),
        Column("QUEUES", can_shrink=True),
        Column("LIMITS", can_shrink=True),
        Column("CREATED"),
        Column("LAST USED"),
        Column("EXPIRES"),
    ]
    rows = [
        (
            Cell(key.id),
            Cell(key.name),
            state(_status(key)),
            Cell(", ".join(key.roles)),
            Cell(_queues(key)),
            Cell(_limits(key)),
            Cell(age(key.created_at, now)),
            Cell(age(key.last_used_at, now)),
            Cell(age(key.expires_at, now)),
        )
        for key in keys
    ]
    return [Table(columns, rows)]


def status_view(status: "AuthStatus", now: datetime) -> View:
    """Return what the caller may do."""
    pairs = [
        ("keys", Cell("required" if status.required else "not needed: everybody is served")),
        ("your key", Cell("valid" if status.authenticated else "none")),
    ]
    key = status.key
    if key is not None:
        pairs += [
            ("id", Cell(key.id)),
            ("name", Cell(key.name)),
            ("roles", Cell(", ".join(key.roles))),
            ("queues", Cell(_queues(key))),
            ("limits", Cell(_limits(key))),
            ("expires", Cell(age(key.expires_at, now))),
        ]
    return [Fields(pairs)]


def _status(key: "ApiKey") -> str:
    if key.valid:
        return "ok"
    return "revoked" if key.revoked_at is not None else "expired"


def _limits(key: "ApiKey") -> str:
    limits = [
        (key.max_rate, "requests/s"),
        (key.max_waiting, "jobs waiting"),
        (key.max_bytes, "bytes"),
    ]
    return ", ".join(f"{value} {unit}" for value, unit in limits if value is not None) or "none"


def _queues(key: "ApiKey") -> str:
    return "all" if key.queues is None else ", ".join(key.queues)
