"""Errors of calls.

::

    CorvoError
    ├ TransportError        there is no usable answer
    │ ├ ConnectionFailed    cannot connect: nothing was sent              (also a ConnectionError)
    │ ├ ConnectionLost      the call may have taken effect                (also a ConnectionError)
    │ ├ CallTimedOut        the call may have taken effect                (also a TimeoutError)
    │ └ BadReply            the answer is not one of a Corvo server that this client knows
    ├ InvalidSetting        a URL, key or proxy is invalid            (also a ValueError)
    ├ CannotDecode          a codec cannot decode a document          (also a ValueError)
    ├ AlreadyEncoded        a document for a codec is encoded already (also a ValueError)
    ├ BulkStopped           a bulk operation was cancelled or failed
    └ ApiError              the server answered with an error
      ├ ValidationFailed    400, 415: the request is invalid              (also a ValueError)
      ├ Unauthorized        401: the API key is missing or invalid
      ├ Forbidden           403: the API key does not allow this call or this queue
      ├ NotFound            404, 405: no such job, queue, batch, schedule or route
      ├ Conflict            409
      │ ├ InvalidState      the state of the job does not allow the call
      │ └ LeaseLost         the attempt no longer has the lease
      ├ PayloadTooLarge     413: the payload or the request is too large
      ├ Overloaded          429: the write queue of the server is full
      ├ Unavailable         502, 503, 504: the server shuts down or cannot write (disk full, say);
      │                     408: it did not receive the request in time
      ├ OutcomeUnknown      500: the call may have taken effect
      └ ServerError         any other status: a bug of the server

An `ApiError` means that the server has changed nothing, except `OutcomeUnknown`, `ServerError`, and
`Unavailable` without a `code`, which is the answer of a proxy.
"""

from collections.abc import Sequence
from typing import ClassVar

from corvo_schema import BulkOperation, ErrorCode, ErrorDetail
from corvo_schema.masks import mask_keys


class CorvoError(Exception):
    """Base class of all errors of calls, and of the payloads that tasks reject.

    `is_transient`: the same call may succeed later without any change.
    """

    is_transient: ClassVar[bool] = False

    def __init__(self, *texts: object) -> None:
        # A key that was given as a URL, say, must not get into a log.
        super().__init__(*(mask_keys(str(text)) for text in texts))


class InvalidSetting(CorvoError, ValueError):
    """A URL, an API key, a proxy or an environment variable is invalid. No client is created."""


class CannotDecode(CorvoError, ValueError):
    """A stored document cannot be decoded, e.g. because its key is unknown or it was changed."""


class AlreadyEncoded(CorvoError, ValueError):
    """A document that a codec is to encode is encoded already, or looks like it."""


class TransportError(CorvoError):
    """There is no usable answer of a Corvo server."""

    is_transient = True


class ConnectionFailed(TransportError, ConnectionError):
    """The client could not connect to the server. The call was not sent."""


class ConnectionLost(TransportError, ConnectionError):
    """The connection broke before the answer was complete. The call may have taken effect."""


class CallTimedOut(TransportError, TimeoutError):
    """The answer did not arrive in time. The call may have taken effect."""


class BadReply(TransportError):
    """The answer is not one of a Corvo server, or of a version that this client knows."""

    is_transient = False


class BulkStopped(CorvoError):
    """A bulk operation was cancelled or failed. `operation` has its progress and its error."""

    def __init__(self, operation: BulkOperation) -> None:
        why = f": {operation.error}" if operation.error else ""
        super().__init__(
            f"bulk operation {operation.id} ended as {operation.status}{why}, "
            f"with {operation.processed} of {operation.total} jobs processed"
        )
        self.operation = operation


class ApiError(CorvoError):
    """The server answered with an error. Unless a subclass says otherwise, it changed nothing.

    `code` is an `ErrorCode`, the text of an unknown code, or empty if a proxy answered. `details`
    has the invalid fields. `request_id` identifies the call in the server's log. `retry_after` is
    in seconds. `reason` is the server's message; `str()` adds the details and a hint.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        details: Sequence[ErrorDetail] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = mask_keys(message if reason is None else reason)
        self.code = code
        self.status = status
        self.details = list(details)
        self.request_id = request_id
        self.retry_after = retry_after


class ValidationFailed(ApiError, ValueError):
    """The request is invalid. The client raises this before sending, where it can."""


class Unauthorized(ApiError):
    """The API key is missing or invalid."""


class Forbidden(ApiError):
    """The API key does not allow this call, or not for this queue."""


class NotFound(ApiError):
    """The job, queue, batch, schedule or route does not exist."""


class Conflict(ApiError):
    """The state of the job does not allow the call."""


class InvalidState(Conflict):
    """The state of the job does not allow the call. The message names the state."""


class LeaseLost(Conflict):
    """The lease token is not the current one of the job, or is missing: the attempt is over.

    A report without a token is refused if the attempt is fenced.
    """


class PayloadTooLarge(ApiError):
    """The payload or the whole request exceeds the server's limit."""


class Overloaded(ApiError):
    """The server's write queue is full. Nothing was written."""

    is_transient = True


class Unavailable(ApiError):
    """The server shuts down, cannot write, or cannot be reached by its proxy.

    The server changed nothing, unless `code` is empty: then a proxy answered. The code
    `STORAGE_FULL` says that the disk of the server is too full for new jobs.
    Also raised if the server did not receive the request in time (408).
    """

    is_transient = True


class OutcomeUnknown(ApiError):
    """The server does not know whether the call took effect: the answer of its database is lost.

    The client repeats calls that are repeatable, and raises this for others, or if the repeats also
    fail. Look at the job before you repeat such a call.
    """

    is_transient = True


class ServerError(ApiError):
    """The server failed because of a bug. Its log has the cause under `request_id`.

    The call may have taken effect.
    """


_BY_CODE: dict[str, type[ApiError]] = {
    ErrorCode.PARSE_ERROR: ValidationFailed,
    ErrorCode.VALIDATION_ERROR: ValidationFailed,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: ValidationFailed,
    ErrorCode.UNAUTHORIZED: Unauthorized,
    ErrorCode.FORBIDDEN: Forbidden,
    ErrorCode.NOT_FOUND: NotFound,
    ErrorCode.METHOD_NOT_ALLOWED: NotFound,
    ErrorCode.INVALID_STATE: InvalidState,
    ErrorCode.LEASE_LOST: LeaseLost,
    ErrorCode.PAYLOAD_TOO_LARGE: PayloadTooLarge,
    ErrorCode.OVERLOADED: Overloaded,
    ErrorCode.UNAVAILABLE: Unavailable,
    ErrorCode.OUTCOME_UNKNOWN: OutcomeUnknown,
    ErrorCode.STORAGE_FULL: Unavailable,
    ErrorCode.REQUEST_TIMEOUT: Unavailable,
    ErrorCode.INTERNAL_ERROR: ServerError,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    400: ValidationFailed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: NotFound,
    408: Unavailable,
    409: Conflict,
    413: PayloadTooLarge,
    415: ValidationFailed,
    429: Overloaded,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_class(code: str, status: int) -> type[ApiError]:
    """Return the error class of an error code, or of the status if the code is unknown."""
    return _BY_CODE.get(code) or _BY_STATUS.get(status) or ServerError


def make_error(
    message: str,
    *,
    code: str,
    status: int,
    details: Sequence[ErrorDetail] = (),
    request_id: str | None = None,
    retry_after: float | None = None,
) -> ApiError:
    """Return the error of an answer. Its message includes the details and a hint."""
    kind = error_class(code, status)
    # The message of the server may include the first detail.
    more = [d for d in details if d.message not in message]
    text = message.rstrip(".")
    if more:
        text += f" ({'; '.join(f'{d.field}: {d.message}' if d.field else d.message for d in more)})"
    if kind is Unauthorized:
        text += ". Set CORVO_API_KEY or CORVO_API_KEY_FILE, or pass api_key"
    elif kind is Forbidden:
        text += ". An admin can make a key with other roles or queues: corvo keys create"
    elif kind is ServerError and request_id:
        text += f". The server's log has the cause, under request id {request_id}"
    return kind(
        text,
        code=code,
        status=status,
        details=details,
        request_id=request_id,
        retry_after=retry_after,
        reason=message,
    )
