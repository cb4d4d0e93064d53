"""Why a call was refused, as the engine tells it to whoever asked."""

from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import Refusal


class CallError(Exception):
    """A call that was refused; nothing was changed by it."""

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
        """The same as an exception, for a call about a single job."""
        return cls(refusal.code, refusal.message)


def not_found(what: str) -> CallError:
    """Nothing of that name; `what` is like `job job_01…`."""
    return CallError(ErrorCode.NOT_FOUND, f"There is no {what}.")
