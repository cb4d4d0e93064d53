"""Convert results and errors of handlers to outcomes."""

import asyncio
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from corvo_client.worker._leases import Interruption, Lease, jsonable
from corvo_client.worker._log import log_outcome
from corvo_client.worker._outcomes import (
    Cancel,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
)
from corvo_client.worker._payload import InvalidJobPayload

_MAX_BACKTRACE_CHARS = 32_768
_NO_RESULT = Completed()
_OUR_FOLDER = str(Path(__file__).parents[1])


class InvalidResult(ValueError):
    """JSON cannot express the result of a handler."""


class RemoteTraceback(Exception):
    """Cause of an error from another process. It has the backtrace of that process."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def outcome_of_result(result: Any, lease: Lease) -> Outcome | None:
    """Return the outcome for the result of a handler, or None if the lease was lost."""
    if lease.interruption is Interruption.LOST:
        return None
    if isinstance(result, Snooze | Cancel | Retry):
        return outcome_of_error(result, lease)
    try:
        outcome = _NO_RESULT if result is None else Completed(storable(result))
    except InvalidResult as error:
        return outcome_of_error(error, lease)
    log_outcome(lease.job, outcome)
    return outcome


def outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome for the error of a handler, or None if the lease was lost."""
    outcome: Outcome | None
    raised = None
    match error, lease.interruption:
        case _, Interruption.LOST:
            outcome = None
        case Snooze(), _:
            outcome = Released(error.seconds)
        case Cancel(), _:
            outcome = Failed(error.reason, retry=False, cancel=True)
        case Retry(), _:
            outcome = Failed(error.reason)
        case InvalidJobPayload(), _:
            # A retry would fail in the same way, because the payload does not change.
            outcome = Failed(str(error), retry=False)
        case InvalidResult(), _:
            # A retry would do the work again and fail in the same way.
            outcome = Failed(str(error), retry=False)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = _failure(error)
            raised = (type(error), error, own_frames(error))
    if outcome is not None:
        log_outcome(lease.job, outcome, raised)
    return outcome


def storable(result: Any) -> Any:
    """Return a result as plain JSON data. Raises `InvalidResult`."""
    try:
        return jsonable(result)
    except ValueError as error:
        raise InvalidResult(f"the result cannot be written as JSON: {error}") from None


def own_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error without the outer frames of this package.

    The reader of a failure needs only the frames of the handler.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
        frames = frames.tb_next
    return frames


def backtrace_of(error: BaseException) -> str:
    """Return the traceback of an error as text, limited to its last 32,768 characters."""
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.text
    text = "".join(traceback.format_exception(type(error), error, own_frames(error)))
    return text[-_MAX_BACKTRACE_CHARS:]


def _failure(error: BaseException) -> Failed:
    message = str(error)
    name = type(error).__name__
    return Failed(f"{name}: {message}" if message else name, backtrace_of(error))
