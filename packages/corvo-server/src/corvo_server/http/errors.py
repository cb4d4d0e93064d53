"""Every failure of a request, in the one shape that errors have on the wire."""

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
from sanic_routing.exceptions import NoMethod
from sanic_routing.exceptions import NotFound as NoRoute

from corvo_schema.errors import ErrorCode, details_of
from corvo_server.engine.errors import CallError
from corvo_server.http.endpoint import App
from corvo_server.http.request_id import request_id
from corvo_server.store.protocol import SearchTooSlow, StoreOverloaded, StoreUnavailable

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")

_LARGEST_DROPPED = 256 * 1024 * 1024
"""Bytes of a body that is too large. Beyond, the connection is cut: it takes up the line only."""
_RETRY_AFTER = 1
"""Seconds after which a refused write is worth another try."""


def install_error_handler(app: App) -> None:
    """Make every exception of `app` an answer as the protocol describes it."""
    app.exception(Exception)(_answer)


def invalid(error: ValidationError) -> CallError:
    """A request that is JSON but not what was expected, field by field, of the first few."""
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
    if call_error.retry_after is not None:
        response.headers["retry-after"] = str(call_error.retry_after)
    if isinstance(error, MethodNotAllowed):
        response.headers["allow"] = ", ".join(_methods_of(request))
    if isinstance(error, PayloadTooLarge):
        _let_the_rest_pass(request)
    return response


def _methods_of(request: Request) -> Iterator[str]:
    """What the path takes. Sanic's own answer is silent where that is more than one method."""
    for method in METHODS:
        with suppress(NoMethod, NoRoute):
            request.app.router.resolve(path=request.path, method=method)
            yield method


def _let_the_rest_pass(request: Request) -> None:
    """Have Sanic read what is still to come of a body, and drop it, up to a bound.

    Most clients listen only when they have sent all; hung up on, they would never see the answer.
    """
    stream = request.stream
    if isinstance(stream, Http) and stream.protocol is not None:
        stream.request_max_size = stream.protocol.request_max_size = _LARGEST_DROPPED


def _as_call_error(request: Request, error: Exception) -> CallError:  # noqa: PLR0911 - a table
    match error:
        case CallError():
            return error
        case StoreOverloaded():
            message = f"Too much is being written: {error}. Nothing was done; try again shortly."
            return CallError(ErrorCode.OVERLOADED, message, retry_after=_RETRY_AFTER)
        case SearchTooSlow():
            message = f"The search was stopped: {error}. Nothing was done; try again later."
            return CallError(ErrorCode.UNAVAILABLE, message, retry_after=_RETRY_AFTER)
        case StoreUnavailable():
            message = f"The store is unavailable: {error}. Nothing was done; try again shortly."
            return CallError(ErrorCode.UNAVAILABLE, message, retry_after=_RETRY_AFTER)
        case MethodNotAllowed():
            message = f"{request.path} does not take {request.method}."
            return CallError(ErrorCode.METHOD_NOT_ALLOWED, message)
        case NotFound():
            message = f"There is no {request.path}; GET /api/v1/docs lists what there is."
            return CallError(ErrorCode.NOT_FOUND, message)
        case PayloadTooLarge() if "header" in str(error):
            message = "The request's first line and headers are too large."
            return CallError(ErrorCode.PAYLOAD_TOO_LARGE, message, [("headers", message)])
        case PayloadTooLarge():
            limit = request.app.config.REQUEST_MAX_SIZE
            message = f"The request is too large; the limit is {limit} bytes."
            return CallError(ErrorCode.PAYLOAD_TOO_LARGE, message, [("body", message)])
        case ServiceUnavailable() | RequestTimeout():
            message = f"The request took too long: {error}."
            return CallError(ErrorCode.UNAVAILABLE, message, retry_after=_RETRY_AFTER)
        case BadRequest():
            return CallError(ErrorCode.PARSE_ERROR, f"This is not a valid HTTP request: {error}")
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
            message = "The server failed on this request; its log says why, by the request id."
            return CallError(ErrorCode.INTERNAL_ERROR, message)
