"""The tables of webhooks and of their sources."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from corvo_cli.human import age
from corvo_cli.show.views import Cell, Column, Table, View, state

if TYPE_CHECKING:
    from corvo_client import Webhook, WebhookSource


def webhooks_view(webhooks: "Sequence[Webhook]", now: datetime) -> View:
    """Return a table with a row for each webhook."""
    columns = [
        Column("NAME"),
        Column("STATUS"),
        Column("URL", can_shrink=True),
        Column("QUEUES", can_shrink=True),
        Column("TYPES", can_shrink=True),
        Column("TAGS", can_shrink=True),
        Column("CHANGED"),
    ]
    rows = [
        (
            Cell(webhook.name),
            state(_status(webhook)),
            Cell(webhook.url),
            Cell(_any(webhook.queues)),
            Cell(_any(webhook.types)),
            Cell(_any([f"{key}={value}" for key, value in (webhook.tags or {}).items()] or None)),
            Cell(age(webhook.updated_at, now)),
        )
        for webhook in webhooks
    ]
    return [Table(columns, rows)]


def sources_view(sources: "Sequence[WebhookSource]", now: datetime) -> View:
    """Return a table with a row for each source."""
    columns = [
        Column("NAME"),
        Column("QUEUE"),
        Column("FORM"),
        Column("SIGNATURE"),
        Column("ID"),
        Column("CHANGED"),
    ]
    rows = [
        (
            Cell(source.name),
            Cell(source.queue),
            Cell(source.form),
            Cell(source.signature_header or "by form"),
            Cell(source.id_header or "by form"),
            Cell(age(source.updated_at, now)),
        )
        for source in sources
    ]
    return [Table(columns, rows)]


def _status(webhook: "Webhook") -> str:
    if webhook.enabled:
        return "ok"
    return "gone" if webhook.disabled_reason else "disabled"


def _any(values: Sequence[str] | None) -> str:
    return "any" if values is None else ", ".join(values)
