"""What can go wrong with a call.

::

    CorvoError
    ├ TransportError        no answer of the server's came
    │ ├ ConnectionFailed    nobody could be reached: nothing was sent     (also a ConnectionError)
    │ ├ ConnectionLost      it broke on the way: it may have taken effect (also a ConnectionError)
    │ ├ CallTimedOut        the answer did not come: ditto                (also a TimeoutError)
    │ └ BadReply            what answered is not a Corvo server that this client understands
    ├ BulkStopped           a bulk operation that was waited for was cancelled, or failed
    └ ApiError              the server refused, and changed nothing; has code, status, details
      ├ ValidationFailed    400, 415: something in the request is wrong   (also a ValueError)
      ├ Unauthorized        401: no key, or not a valid one
      ├ Forbidden           403: the key does not give this right, or not for this queue
      ├ NotFound            404, 405: no such job, queue, batch or route
      ├ Conflict            409
      │ ├ InvalidState      the job's state does not allow it
      │ └ LeaseLost         the job is not this attempt's any more
      ├ PayloadTooLarge     413
      ├ Overloaded          429: too many writes at once
      ├ Unavailable         502, 503, 504: shutting down, or the store cannot write
      └ ServerError         any other: a bug of the server, to be looked up by request_id
"""

from collections.abc import Sequence
from typing import ClassVar

from corvo_schema import BulkOperation, ErrorCode, ErrorDetail


class CorvoError(Exception):
    """Any failure of a call.

    `is_transient`: the same call may succeed later, without anybody having changed anything.
    """

    is_transient: ClassVar[bool] = False


class TransportError(CorvoError):
    """No answer of the server's came."""

    is_transient = True


class ConnectionFailed(TransportError, ConnectionError):
    """Nobody could be reached. Nothing was sent, so nothing happened."""


class ConnectionLost(TransportError, ConnectionError):
    """The connection broke before the answer was in. The call may have taken effect or not."""


class CallTimedOut(TransportError, TimeoutError):
    """No answer came in time. The call may have taken effect or not."""


class BadReply(TransportError):
    """What answered is not a Corvo server, or one that this client does not understand."""

    is_transient = False


class BulkStopped(CorvoError):
    """A bulk operation ended before it was done; `operation` says how far it came, and why."""

    def __init__(self, operation: BulkOperation) -> None:
        why = f": {operation.error}" if operation.error else ""
        super().__init__(
            f"bulk operation {operation.id} ended as {operation.status}{why}, "
            f"with {operation.processed} of {operation.total} jobs processed"
        )
        self.operation = operation


class ApiError(CorvoError):
    """The server refused the call and changed nothing.

    `code` is an `ErrorCode`, or the text of one that this client does not know, or empty when
    something in front of the server answered. `details` names the offending fields. `request_id`
    finds the call in the server's log. `retry_after` is in seconds. `reason` is what the server
    said; the message has the details and what to do about it as well.
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
        self.reason = message if reason is None else reason
        self.code = code
        self.status = status
        self.details = list(details)
        self.request_id = request_id
        self.retry_after = retry_after


class ValidationFailed(ApiError, ValueError):
    """Something in the request is wrong. Found by this client already, where it can be."""


class Unauthorized(ApiError):
    """The server wants a key, or does not know the one it got."""


class Forbidden(ApiError):
    """The key does not give the right to do this, or not with this queue."""


class NotFound(ApiError):
    """There is no such job, queue, batch or route."""


class Conflict(ApiError):
    """The job is not in the state that the call needs."""


class InvalidState(Conflict):
    """The job's state does not allow it; the message names the state."""


class LeaseLost(Conflict):
    """The lease token is not the job's current one, or is missing: this attempt is over.

    A call without a token is refused if the job's attempt is fenced.
    """


class PayloadTooLarge(ApiError):
    """The payload or the whole request exceeds the server's limit."""


class Overloaded(ApiError):
    """The server's write queue is full. Nothing was written."""

    is_transient = True


class Unavailable(ApiError):
    """The server is shutting down, cannot write, or is not there behind its proxy."""

    is_transient = True


class ServerError(ApiError):
    """A bug of the server. Its log has the rest, under `request_id`."""


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
    ErrorCode.INTERNAL_ERROR: ServerError,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    400: ValidationFailed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    415: ValidationFailed,
    429: Overloaded,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_class(code: str, status: int) -> type[ApiError]:
    """Return the class for an error code; for an unknown one, that of the status."""
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
    """Make the error of an answer; its message says what was wrong, and what to do about it."""
    kind = error_class(code, status)
    # The server's sentence has the first of them already.
    more = [d for d in details if d.message not in message]
    text = message.rstrip(".")
    if more:
        text += f" ({'; '.join(f'{d.field}: {d.message}' if d.field else d.message for d in more)})"
    if kind is Unauthorized:
        text += ". Set CORVO_API_KEY or pass api_key"
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
