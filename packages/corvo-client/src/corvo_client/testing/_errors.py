"""Errors of recorded calls, as a server gives them."""

from corvo_client._errors import ApiError, make_error
from corvo_schema import ErrorCode


def not_found(what: str) -> ApiError:
    """Return the error for an object that does not exist."""
    return make_error(f"There is no {what}", code=ErrorCode.NOT_FOUND, status=404)


def invalid_state(message: str) -> ApiError:
    """Return the error for a call that the state of a job does not allow."""
    return make_error(message, code=ErrorCode.INVALID_STATE, status=409)
