"""Error codes of the API, their HTTP statuses, and the body of error replies."""

import json
import re
from enum import StrEnum

from pydantic import BaseModel, ValidationError


class ErrorCode(StrEnum):
    """Reason for a refused request. The codes are stable: clients may depend on them."""

    PARSE_ERROR = "PARSE_ERROR"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    INVALID_STATE = "INVALID_STATE"
    LEASE_LOST = "LEASE_LOST"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    OVERLOADED = "OVERLOADED"
    UNAVAILABLE = "UNAVAILABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    STORAGE_FULL = "STORAGE_FULL"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    @property
    def http_status(self) -> int:
        """HTTP status of a reply with this code."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    ErrorCode.PARSE_ERROR: 400,
    ErrorCode.VALIDATION_ERROR: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.REQUEST_TIMEOUT: 408,
    ErrorCode.INVALID_STATE: 409,
    ErrorCode.LEASE_LOST: 409,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.OVERLOADED: 429,
    ErrorCode.UNAVAILABLE: 503,
    # Not 502, 503 or 504: proxies and older clients repeat every call that gets one of these.
    ErrorCode.OUTCOME_UNKNOWN: 500,
    ErrorCode.STORAGE_FULL: 503,
    ErrorCode.INTERNAL_ERROR: 500,
}


class ErrorDetail(BaseModel):
    """One invalid field, by its JSON path (`jobs[3].max_retries`)."""

    field: str
    message: str


class ErrorReply(BaseModel):
    """Body of every reply with a status of 400 or higher."""

    error: str
    code: str
    details: list[ErrorDetail] | None = None
    request_id: str | None = None


_PLAIN_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def details_of(error: ValidationError, limit: int = 20) -> list[ErrorDetail]:
    """Return the path and the message of the first `limit` invalid fields.

    An empty path means the whole body. Messages do not repeat values, because those may be secret.
    """
    found = error.errors(include_url=False, include_input=False)[:limit]
    return [
        ErrorDetail(
            field=json_path(item["loc"]),
            # A validator's own message; pydantic's `msg` adds a prefix to it.
            message=str(item["ctx"]["error"]) if item["type"] == "value_error" else item["msg"],
        )
        for item in found
    ]


def json_path(location: tuple[int | str, ...]) -> str:
    """Return a location within JSON as a path, e.g. `jobs[3].max_retries` or `tags["a b"]`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_MEMBER.fullmatch(step):
            path += f".{step}" if path else step
        elif step != "[key]":
            path += f"[{json.dumps(step)}]"
    return path
