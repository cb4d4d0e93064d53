"""The error with which the engine refuses a call."""

from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import Refusal


class CallError(Exception):
    """Raised when a call is refused. It has changed nothing, unless the code is OUTCOME_UNKNOWN."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: Sequence[tuple[str, str]] = (),
        *,
        retry_after: int | None = None,
    ) -> None:
        """`details` are (field path, what was expected); `retry_after` is in seconds."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after = retry_after

    @classmethod
    def of(cls, refusal: Refusal) -> "CallError":
        """Return the exception for a refusal, for calls about a single object."""
        return cls(refusal.code, refusal.message, refusal.details, retry_after=refusal.retry_after)


def not_found(what: str) -> CallError:
    """Return the error for an object that does not exist; `what` is e.g. `job job_01…`."""
    return CallError(ErrorCode.NOT_FOUND, f"There is no {what}.")
