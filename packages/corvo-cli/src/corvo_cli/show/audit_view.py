"""The table of the audit log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from corvo_cli.human import moment
from corvo_cli.show.views import Cell, Column, Table, View

if TYPE_CHECKING:
    from corvo_client import AuditEntry


def audit_view(entries: "Sequence[AuditEntry]", now: datetime) -> View:
    """Return a table with a row for each entry."""
    columns = [
        Column("WHEN"),
        Column("BY"),
        Column("OPERATION"),
        Column("TARGET"),
        Column("OUTCOME"),
        Column("CHANGE", can_shrink=True),
    ]
    rows = [
        (
            Cell(moment(entry.at, now)),
            Cell(entry.by),
            Cell(entry.operation),
            Cell(entry.target),
            Cell(entry.outcome),
            Cell(_change(entry.before or {}, entry.after or {})),
        )
        for entry in entries
    ]
    return [Table(columns, rows)]


def _change(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the values that differ: `priority: normal > high`; those of a new thing alone."""
    parts = []
    for name, value in after.items():
        if name not in before:
            parts.append(f"{name}: {value}")
        elif before[name] != value:
            parts.append(f"{name}: {before[name]} > {value}")
    return ", ".join(parts)
