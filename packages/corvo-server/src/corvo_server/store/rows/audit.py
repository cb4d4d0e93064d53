"""Convert between rows of the audit log and records, the same on every engine."""

from collections.abc import Sequence
from typing import Any

import orjson

from corvo_server.store.audit import AuditEntry


def entry_values(entry: AuditEntry) -> tuple[Any, ...]:
    """Return the values of a row of `audit`, without its id."""
    return (
        entry.at,
        entry.operation,
        entry.actor,
        entry.key_id,
        orjson.dumps(entry.roles).decode(),
        entry.address,
        entry.request_id,
        entry.target,
        entry.queue,
        entry.before,
        entry.after,
        entry.outcome,
    )


def to_entry(row: Sequence[Any]) -> AuditEntry:
    """Return the entry of a row of `audit`."""
    number, at, operation, actor, key_id, roles, *others, outcome = row
    names = tuple(orjson.loads(roles))
    address, request_id, target, queue, before, after = others
    return AuditEntry(
        at=at,
        operation=operation,
        actor=actor,
        key_id=key_id,
        roles=names,
        address=address,
        request_id=request_id,
        target=target,
        queue=queue,
        before=before,
        after=after,
        outcome=outcome,
        id=number,
    )
