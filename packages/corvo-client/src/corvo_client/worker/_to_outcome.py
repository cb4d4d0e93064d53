"""Convert results and errors of handlers to outcomes."""

import asyncio
import logging
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from corvo_client.worker._leases import Interruption, Lease, jsonable
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

_log = logging.getLogger("corvo.worker")
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
    if result is None:
        return _NO_RESULT
    if isinstance(result, Snooze | Cancel | Retry):
        return outcome_of_error(result, lease)
    try:
        return Completed(storable(result))
    except InvalidResult as error:
        return outcome_of_error(error, lease)


def outcome_of_error(error: BaseException, lease: Lease) -> Outcome | None:
    """Return the outcome for the error of a handler, or None if the lease was lost."""
    outcome: Outcome | None
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
            # Not dead at once: a deploy may be under way, and the next worker knows the payload.
            _log.error("job %s of %s: %s", lease.job.job_id, lease.job.queue, error)
            outcome = Failed(str(error))
        case InvalidResult(), _:
            # A retry would do the work again and fail in the same way.
            outcome = Failed(str(error), retry=False)
        case asyncio.CancelledError(), Interruption.SHUTDOWN:
            outcome = Released()
        case asyncio.CancelledError(), Interruption.CANCELLED:
            outcome = Failed("cancelled on request", retry=False, cancel=True)
        case _:
            outcome = _failure(error, lease)
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


def _failure(error: BaseException, lease: Lease) -> Failed:
    job = lease.job
    _log.warning(
        "job %s of %s failed in attempt %d of %d",
        job.job_id,
        job.queue,
        job.attempt,
        max(job.max_retries, 1),
        exc_info=(type(error), error, own_frames(error)),
    )
    message = str(error)
    name = type(error).__name__
    return Failed(f"{name}: {message}" if message else name, backtrace_of(error))
