"""Error classes, their codes and their messages."""

import copy
import pickle
from collections.abc import Callable

import pytest

from corvo_client import (
    ApiError,
    BadReply,
    CallTimedOut,
    Conflict,
    ConnectionFailed,
    ConnectionLost,
    CorvoError,
    Forbidden,
    InvalidState,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    ServerError,
    TransportError,
    Unauthorized,
    Unavailable,
    ValidationFailed,
)
from corvo_client._errors import make_error
from corvo_schema import ErrorCode, ErrorDetail

BY_CODE = {
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


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_its_class(code: ErrorCode) -> None:
    error = make_error("no", code=code, status=code.http_status)
    assert type(error) is BY_CODE[code]
    assert (error.code, error.status) == (code, code.http_status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ValidationFailed),
        (408, Unavailable),
        (409, Conflict),
        (504, Unavailable),
        (500, ServerError),
        (418, ServerError),
    ],
)
def test_class_of_an_unknown_code_depends_on_its_status(status: int, kind: type[ApiError]) -> None:
    assert type(make_error("no", code="BRAND_NEW", status=status)) is kind


def test_message_has_the_fields_and_a_hint() -> None:
    details = [
        ErrorDetail(field="jobs[3].queue", message="is odd"),
        ErrorDetail(field="", message="x"),
    ]
    error = make_error("not valid.", code="VALIDATION_ERROR", status=400, details=details)
    assert str(error) == "not valid (jobs[3].queue: is odd; x)"
    assert error.details == details
    sentence = "jobs[3].queue: is odd (and 1 more)"
    error = make_error(sentence, code="VALIDATION_ERROR", status=400, details=details)
    assert str(error) == f"{sentence} (x)"
    assert str(make_error("no key", code="UNAUTHORIZED", status=401)) == (
        "no key. Set CORVO_API_KEY or CORVO_API_KEY_FILE, or pass api_key"
    )
    bug = make_error("internal error", code="INTERNAL_ERROR", status=500, request_id="r1")
    assert str(bug).endswith("under request id r1")
    assert str(make_error("no", code="INTERNAL_ERROR", status=500)) == "no"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ConnectionFailed, ConnectionError),
        (ConnectionLost, ConnectionError),
        (CallTimedOut, TimeoutError),
        (ValidationFailed, ValueError),
    ],
)
def test_errors_are_also_builtin_errors(kind: type[CorvoError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, CorvoError)


def test_only_temporary_errors_are_transient() -> None:
    kinds = [*TransportError.__subclasses__(), *ApiError.__subclasses__()]
    assert {kind for kind in kinds if kind.is_transient} == {
        ConnectionFailed,
        ConnectionLost,
        CallTimedOut,
        Overloaded,
        Unavailable,
        OutcomeUnknown,
    }
    assert not BadReply.is_transient


def pickled(error: CorvoError) -> CorvoError:
    twin: CorvoError = pickle.loads(pickle.dumps(error))  # noqa: S301
    return twin


@pytest.mark.parametrize("duplicate", [copy.copy, pickled])
def test_errors_can_be_copied_and_pickled(
    duplicate: Callable[[CorvoError], CorvoError],
) -> None:
    error = LeaseLost("late", code="LEASE_LOST", status=409, request_id="r", retry_after=1.0)
    twin = duplicate(error)
    assert (str(twin), vars(twin)) == (str(error), vars(error))
    assert str(duplicate(ConnectionFailed("refused"))) == "refused"
