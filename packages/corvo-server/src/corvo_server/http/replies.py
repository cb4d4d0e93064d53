"""JSON replies."""

import json
import re
from typing import Any

import orjson
from sanic import HTTPResponse

from corvo_server.http.endpoint import API_PREFIX
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.records import Enqueued

_NOT_ASCII = re.compile(r"[^\0-\x7f]+")


def reply(data: Any, status: int = 200) -> HTTPResponse:
    """Return a reply with `data` as JSON."""
    return HTTPResponse(orjson.dumps(data), status=status, content_type="application/json")


def secret_reply(data: dict[str, Any], status: int) -> HTTPResponse:
    """Return a reply with a secret, which no cache may keep."""
    response = reply(data, status)
    response.headers["cache-control"] = "no-store"
    return response


def enqueued(found: Enqueued) -> dict[str, object]:
    """Return the object of an enqueued job (`EnqueueReply`)."""
    return {
        "job_id": found.job_id,
        "status": found.status,
        "unique_existing": found.is_duplicate,
    }


def accepted(record: BulkRecord) -> HTTPResponse:
    """Return the reply of a call that goes on as a bulk operation (`BulkAccepted`)."""
    path = f"{API_PREFIX}/bulk/{record.id}"
    body = {
        "bulk_operation_id": record.id,
        "status": record.status,
        "estimated_total": record.total,
        "progress_url": f"{path}/progress",
    }
    response = reply(body, 202)
    response.headers["location"] = path
    return response


def message_data(data: Any) -> bytes:
    """Return `data` as JSON in ASCII, for a server-sent event.

    Some clients split lines at Unicode line breaks or read text without a charset as Latin-1. They
    would corrupt other characters.
    """
    text = orjson.dumps(data)
    return text if text.isascii() else _NOT_ASCII.sub(_escape, text.decode()).encode()


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def no_content() -> HTTPResponse:
    """Return an empty reply with status 204."""
    return HTTPResponse(status=204)


def raw(text: str | None) -> orjson.Fragment | None:
    """Return a stored document to insert into a reply unchanged; None becomes `null`."""
    return None if text is None else orjson.Fragment(text)
