"""Error codes of the API, the HTTP status of each, and the body that carries them."""

import json
import re
from enum import StrEnum

from pydantic import BaseModel, ValidationError


class ErrorCode(StrEnum):
    """Why a request was refused. Stable: clients branch on it."""

    PARSE_ERROR = "PARSE_ERROR"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INVALID_STATE = "INVALID_STATE"
    LEASE_LOST = "LEASE_LOST"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    OVERLOADED = "OVERLOADED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"

    @property
    def http_status(self) -> int:
        """The status that a reply with this code has."""
        return _HTTP_STATUS[self]


_HTTP_STATUS = {
    ErrorCode.PARSE_ERROR: 400,
    ErrorCode.VALIDATION_ERROR: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.INVALID_STATE: 409,
    ErrorCode.LEASE_LOST: 409,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.OVERLOADED: 429,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.INTERNAL_ERROR: 500,
}


class ErrorDetail(BaseModel):
    """One offending field, by its JSON path (`jobs[3].max_retries`)."""

    field: str
    message: str


class ErrorReply(BaseModel):
    """The body of every reply with a status of 400 or more."""

    error: str
    code: str
    details: list[ErrorDetail] | None = None
    request_id: str | None = None


_PLAIN_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def details_of(error: ValidationError, limit: int = 20) -> list[ErrorDetail]:
    """Say for each offending field where it is and what is wrong, the first `limit` of them.

    A field's place is its JSON path; an empty one means the body as a whole. Values are not
    repeated: they may be secret.
    """
    found = error.errors(include_url=False, include_input=False)[:limit]
    return [
        ErrorDetail(
            field=json_path(item["loc"]),
            # A validator's own sentence, without the prefix that pydantic puts before it.
            message=str(item["ctx"]["error"]) if item["type"] == "value_error" else item["msg"],
        )
        for item in found
    ]


def json_path(location: tuple[int | str, ...]) -> str:
    """Write a location within JSON as a path: `jobs[3].max_retries`, `tags["a b"]`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_MEMBER.fullmatch(step):
            path += f".{step}" if path else step
        elif step != "[key]":
            path += f"[{json.dumps(step)}]"
    return path
