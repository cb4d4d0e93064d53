"""Calls for the audit log."""

from datetime import datetime
from urllib.parse import urlencode

from corvo_client._call import API, Call
from corvo_client._codec import reader
from corvo_client._options import AnyMoment
from corvo_schema import AuditOperation, AuditPage

_read_page = reader(AuditPage)


def list_audit(
    *,
    by: str | None = None,
    queue: str | None = None,
    operation: AuditOperation | str | None = None,
    target: str | None = None,
    since: AnyMoment | None = None,
    until: AnyMoment | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[AuditPage]:
    """Return the call that reads one page of the audit log."""
    given = {
        "by": by,
        "queue": queue,
        "operation": operation,
        "target": target,
        "since": _text(since),
        "until": _text(until),
        "limit": limit,
        "cursor": cursor,
    }
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = f"{API}/audit?{query}" if query else f"{API}/audit"
    return Call("GET", path, _read_page, repeatable=True)


def _text(moment: AnyMoment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment
