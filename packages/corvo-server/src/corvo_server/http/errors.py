"""Turns every failure of a request into an error reply of the API."""

import logging
from collections.abc import Iterator
from contextlib import suppress

import orjson
from pydantic import ValidationError
from sanic import HTTPResponse, Request
from sanic.exceptions import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    SanicException,
    ServiceUnavailable,
)
from sanic.http import Http

from corvo_schema.errors import ErrorCode, details_of
from corvo_server.engine.errors import CallError
from corvo_server.http.endpoint import App
from corvo_server.http.request_id import request_id
from corvo_server.store.protocol import (
    OutcomeUnknown,
    SearchTooSlow,
    StoreError,
    StoreFull,
    StoreOverloaded,
)

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")

_LARGEST_DROPPED = 256 * 1024 * 1024
"""Maximum bytes of an oversized body that the server reads and drops before it disconnects."""
_RETRY_AFTER = 1
"""Value of the header `Retry-After`, in seconds."""
_HOW_TO_REPEAT = (
    "Repeat an enqueue with the same job_id, and an ack, fail, release or heartbeat with the same "
    "lease_token: that has no second effect. Fetch again: a job that this fetch started returns "
    "when its lease ends. Before any other call, look at the job, the queue or the schedule first."
)
_UNCHANGING = ("/fetch", "/fetch/batch", "/jobs/search", "/jobs/bulk-get")
"""Paths of POST requests that have changed nothing if their handler is stopped. A fetch that is
stopped gives its jobs back."""


def install_error_handler(app: App) -> None:
    """Answer every exception of `app` with an error reply."""
    app.exception(Exception)(_answer)


def invalid(error: ValidationError) -> CallError:
    """Return the error for a JSON body that a model refused, with the first invalid fields."""
    details = [(detail.field or "body", detail.message) for detail in details_of(error)]
    field, message = details[0]
    others = error.error_count() - 1
    more = f" (and {others} more)" if others else ""
    return CallError(ErrorCode.VALIDATION_ERROR, f"{field}: {message}{more}", details)


def _answer(request: Request, error: Exception) -> HTTPResponse:
    call_error = _as_call_error(request, error)
    body: dict[str, object] = {"error": call_error.message, "code": call_error.code}
    if call_error.details:
        body["details"] = [
            {"field": field, "message": message} for field, message in call_error.details
        ]
    body["request_id"] = request_id(request)
    response = HTTPResponse(
        orjson.dumps(body).decode(),
        status=call_error.code.http_status,
        content_type="application/json",
    )
    retry_after = call_error.retry_after
    if call_error.code is ErrorCode.STORAGE_FULL:
        retry_after = _RETRY_AFTER
    if retry_after is not None:
        response.headers["retry-after"] = str(retry_after)
    if call_error.code is ErrorCode.UNAUTHORIZED:
        response.headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed):
        response.headers["allow"] = ", ".join(_methods_of(request))
    if isinstance(error, PayloadTooLarge):
        _drop_rest_of_body(request)
    return response


def _methods_of(request: Request) -> Iterator[str]:
    """Yield the methods of the request's path. Sanic does not report more than one."""
    for method in METHODS:
        with suppress(MethodNotAllowed, NotFound):
            request.app.router.get(request.path, method, None)
            yield method


def _drop_rest_of_body(request: Request) -> None:
    """Let Sanic read and drop the rest of an oversized body, up to a limit.

    Most clients read the reply only after they have sent the body. Without this, they would see a
    closed connection and no reply.
    """
    stream = request.stream
    if isinstance(stream, Http) and stream.protocol is not None:
        stream.request_max_size = stream.protocol.request_max_size = _LARGEST_DROPPED


def may_have_changed(request: Request) -> bool:
    """Return whether a request may have had an effect, although its handler was stopped."""
    return request.method not in {"GET", "HEAD"} and not request.path.endswith(_UNCHANGING)


def _unknown(why: str) -> CallError:
    message = f"It is unknown whether this call was done: {why.rstrip('.')}. {_HOW_TO_REPEAT}"
    return CallError(ErrorCode.OUTCOME_UNKNOWN, message)


def _of_store(error: StoreError) -> CallError:
    match error:
        case OutcomeUnknown():
            return _unknown(str(error))
        case StoreOverloaded():
            message = f"The server is overloaded: {error}. Nothing was done; retry in a second."
            return CallError(ErrorCode.OVERLOADED, message, retry_after=_RETRY_AFTER)
        case SearchTooSlow():
            message = f"The search was stopped: {error}. Nothing was done; retry later."
        case StoreFull():
            advice = "Delete jobs or free space on the disk, then retry."
            message = f"The write failed: {error}. Nothing was done. {advice}"
            return CallError(ErrorCode.STORAGE_FULL, message)
        case _:
            message = f"The store is unavailable: {error}. Nothing was done; retry in a second."
    return CallError(ErrorCode.UNAVAILABLE, message, retry_after=_RETRY_AFTER)


def _as_call_error(request: Request, error: Exception) -> CallError:  # noqa: PLR0911 - a table
    match error:
        case CallError():
            return error
        case StoreError():
            return _of_store(error)
        case MethodNotAllowed():
            allowed = ", ".join(_methods_of(request))
            message = f"{request.path} does not support {request.method}; use {allowed}."
            return CallError(ErrorCode.METHOD_NOT_ALLOWED, message)
        case NotFound():
            message = f"The path {request.path} does not exist; GET /api/v1/docs lists all paths."
            return CallError(ErrorCode.NOT_FOUND, message)
        case PayloadTooLarge() if "header" in str(error):
            limit = request.app.config.REQUEST_MAX_HEADER_SIZE
            message = f"The request line and headers are too large; the limit is {limit} bytes."
            return CallError(ErrorCode.PAYLOAD_TOO_LARGE, message, [("headers", message)])
        case PayloadTooLarge():
            limit = request.app.config.REQUEST_MAX_SIZE
            message = f"The body is too large; the limit is {limit} bytes. Send less per request."
            return CallError(ErrorCode.PAYLOAD_TOO_LARGE, message, [("body", message)])
        case RequestTimeout():
            message = f"The request was too slow: {error}. Nothing was done; send it again."
            return CallError(ErrorCode.REQUEST_TIMEOUT, message)
        case ServiceUnavailable() if may_have_changed(request):
            return _unknown("the call took too long")
        case ServiceUnavailable():
            message = f"The request took too long: {error}."
            return CallError(ErrorCode.UNAVAILABLE, message, retry_after=_RETRY_AFTER)
        case BadRequest():
            return CallError(ErrorCode.PARSE_ERROR, f"The HTTP request is invalid: {error}")
        case SanicException() if error.status_code < 500:
            return CallError(ErrorCode.PARSE_ERROR, str(error))
        case _:
            log.error(
                "request %s failed: %s %s",
                request_id(request),
                request.method,
                request.path,
                exc_info=error,
            )
            message = "The server failed on this request. Find the cause in its log by request id."
            return CallError(ErrorCode.INTERNAL_ERROR, message)
