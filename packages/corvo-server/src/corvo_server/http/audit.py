"""Endpoint of the audit log."""

from datetime import datetime

from sanic import HTTPResponse, Request

from corvo_schema import AuditOperation, AuditPage, parse_duration, to_ms
from corvo_schema.timestamps import parse_timestamp
from corvo_server.http import documents
from corvo_server.http.endpoint import STEER, Parameter, Resource
from corvo_server.http.replies import reply
from corvo_server.http.request import (
    choice_of,
    engine_of,
    number_of,
    refusal,
    shift_of,
    text_of,
)
from corvo_server.store.audit import AuditFilter

resource = Resource("audit")

_LIMIT = 50
_MOST = 1000
_EXPECTED = "must be a time like 2026-01-31T08:00:00Z, or a duration before now like 1d"
_TIME_JSON = {"type": "string", "examples": ["1d", "2026-01-31T08:00:00Z"]}


@resource.endpoint(
    "GET",
    "/audit",
    roles=STEER,
    replies={200: AuditPage},
    parameters=(
        Parameter("by", "Return only calls with the API key of this name.", {"type": "string"}),
        Parameter("queue", "Return only calls on this queue.", {"type": "string"}),
        Parameter("operation", "Return only this operation.", {"enum": [*AuditOperation]}),
        Parameter(
            "target",
            "Return only calls on what has this id, or this name if it is a queue or a schedule.",
            {"type": "string"},
        ),
        Parameter("since", "Return only calls since this time.", _TIME_JSON),
        Parameter("until", "Return only calls before this time.", _TIME_JSON),
        Parameter(
            "limit",
            "Maximum number of entries.",
            {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _LIMIT},
        ),
        Parameter(
            "cursor", "Cursor of the previous page.", {"type": "string", "pattern": "^[0-9]{1,18}$"}
        ),
    ),
)
async def list_audit(request: Request) -> HTTPResponse:
    """List who changed or configured what, newest first, one page at a time.

    An operator sees all entries but those of API keys. A key with limited queues sees the entries
    of these queues; its pages may have fewer entries than `limit`.
    """
    operation = choice_of(request, "operation", AuditOperation)
    wanted = AuditFilter(
        actor=text_of(request, "by"),
        queue=text_of(request, "queue"),
        operation=None if operation is None else operation.value,
        target=text_of(request, "target"),
        since=_time_of(request, "since"),
        until=_time_of(request, "until"),
    )
    limit = number_of(request, "limit", 1, _MOST, default=_LIMIT)
    page = await engine_of(request).audit.list(wanted, limit, text_of(request, "cursor"))
    return reply(
        {
            "entries": [documents.audit_entry(entry, shift_of(request)) for entry in page.entries],
            "cursor": page.cursor,
            "has_more": page.cursor is not None,
        }
    )


def _time_of(request: Request, name: str) -> int | None:
    """Return a server time in ms; None if it is absent. Raise `CallError` if it is invalid."""
    text = text_of(request, name)
    if text is None:
        return None
    try:
        return engine_of(request).clock() - parse_duration(text)
    except ValueError:
        pass
    try:
        moment: datetime = parse_timestamp(text)
    except ValueError:
        raise refusal(name, _EXPECTED) from None
    return to_ms(moment) - shift_of(request)
